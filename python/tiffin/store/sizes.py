"""Sizes of memory as people write them."""

from typing import Any

from tiffin.errors import InvalidError

_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}


def to_bytes(value: Any, what: str) -> int:
    """Return a size in bytes.

    Parameters
    ----------
    value : int, str or None
        ``"4GB"`` (10**9 each), ``"512MiB"`` (2**20 each), a number of bytes; None = not given.
    what : str
        What it is called in sentences, e.g. ``"memory_limit"``.

    Returns
    -------
    int
        0 = not given.

    Raises
    ------
    InvalidError
        No size, or none above zero.
    """
    if value is None:
        return 0
    text = str(value).strip().lower()
    number = text.rstrip("tkmgib ")
    unit = text[len(number) :].strip()
    try:
        count = float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        count = 0
    if isinstance(value, bool) or not 1 <= count < 2**63:
        raise InvalidError(f"{what} must be e.g. 512MB, not {value!r}")
    return int(count)
