"""``python -m tiffin.feast program.py [arguments]``: run one program, ``feast`` being Tiffin.

``-m module`` runs a module, ``-c text`` a text, and ``-`` standard input, as Python itself does.
"""

import runpy
import sys
from pathlib import Path

from tiffin.feast import install

USAGE = "usage: python -m tiffin.feast [-m module | -c text | program.py | -] [arguments]"


def _run_text(text: str, name: str) -> None:
    sys.path[0] = ""
    scope = {"__name__": "__main__", "__builtins__": __builtins__}
    exec(compile(text, name, "exec"), scope)


def _run_file(program: str) -> None:
    # Python has put the working directory there for its -m; a program wants its own folder.
    sys.path[0] = str(Path(program).absolute().parent)
    runpy.run_path(program, run_name="__main__")


def main() -> None:
    """Run what the command line names."""
    what, *rest = sys.argv[1:] or ["--help"]
    if what in ("-h", "--help"):
        print(USAGE)
        sys.exit(0 if len(sys.argv) > 1 else 2)
    if what in ("-m", "-c") and not rest:
        sys.exit(f"{USAGE}\n{what} needs something to run")
    if what not in ("-m", "-c", "-") and not Path(what).is_file():
        sys.exit(f"python -m tiffin.feast: there is no file {Path(what).absolute()}")
    install(replace=True)
    if what == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif what == "-c":
        sys.argv = ["-c", *rest[1:]]
        _run_text(rest[0], "<string>")
    elif what == "-":
        sys.argv = ["-", *rest]
        _run_text(sys.stdin.read(), "<stdin>")
    else:
        sys.argv = [what, *rest]
        _run_file(what)


if __name__ == "__main__":
    main()
