"""Certificates for tests of TLS, made by the command openssl."""

import datetime as dt
import subprocess
from pathlib import Path

_CONFIG = """
[ca]
default_ca = own
[own]
database = {folder}/{name}.index
serial = {folder}/{name}.serial
new_certs_dir = {folder}
default_md = sha256
policy = any
x509_extensions = names
unique_subject = no
[any]
commonName = supplied
[names]
subjectAltName = DNS:localhost, IP:127.0.0.1
basicConstraints = critical, CA:true
"""


def _run(*words: str) -> None:
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def write_certificate(folder: Path, name: str, from_day: int, to_day: int) -> tuple[Path, Path]:
    """Write a self-signed certificate that is good between two days, counted from today.

    Returns the paths of its key and of itself.
    """
    key, wish, certificate = (folder / f"{name}.{end}" for end in ("key", "csr", "pem"))
    (folder / f"{name}.cnf").write_text(_CONFIG.format(folder=folder, name=name))
    (folder / f"{name}.index").write_text("")
    (folder / f"{name}.serial").write_text("01\n")
    now = dt.datetime.now(dt.UTC)
    start, end = (
        (now + dt.timedelta(days=day)).strftime("%Y%m%d000000Z") for day in (from_day, to_day)
    )
    _run(
        *("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"),
        *("-keyout", str(key), "-out", str(wish)),
    )
    _run(
        *(
            "ca",
            "-batch",
            "-selfsign",
            "-config",
            str(folder / f"{name}.cnf"),
            "-keyfile",
            str(key),
        ),
        *("-in", str(wish), "-out", str(certificate), "-startdate", start, "-enddate", end),
        "-notext",
    )
    return key, certificate
