"""Print the commands of the real Feast with their options, as JSON: run by a Python that has it."""

import json
import sys
from typing import Any

import click


def walk(command: click.Command, path: str, context: click.Context) -> dict[str, list[str]]:
    """Return path of command -> options, of a command and all below it."""
    options = [p for p in command.params if isinstance(p, click.Option)]
    found = {path: sorted({name for o in options for name in (*o.opts, *o.secondary_opts)})}
    below: Any = getattr(command, "commands", None) or {}
    for name in sorted(below):
        found |= walk(below[name], f"{path} {name}".strip(), context)
    return found


if __name__ == "__main__":
    from feast.cli.cli import cli

    lines = [
        f"{json.dumps(path)}: {json.dumps(options)}"
        for path, options in walk(cli, "", click.Context(cli)).items()
    ]
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")
