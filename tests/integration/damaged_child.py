"""Reads damaged Parquet files, for test_damaged.py: in a process of its own, which may die of it.

usage: python damaged_child.py FOLDER LIBRARY FIRST LAST

Damages base files of FOLDER by the seeds FIRST .. LAST and asks for a training set over each.
Prints a line before and a line after each seed: "start SEED", then "OUTCOME SEED TEXT", where
OUTCOME is

  same      the answer is that of the file before it was damaged
  changed   another answer, the same in one step and in two: DuckDB checks no checksums of pages
  refused   one sentence that names the file
  wrong     none of these; TEXT says what
"""

import json
import random
import resource
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from engines import features_of, open_store
from histories import plain

from tiffin import TiffinError, _native

FEATURES = {"number": "int64", "real": "float64", "text": "string", "items": "array<int64>"}
BASES = [
    {"compression": "zstd", "row_group_size": 40},
    {"compression": "none", "row_group_size": 1000, "data_page_size": 64},
    {"compression": "snappy", "row_group_size": 100, "data_page_version": "2.0"},
    {"compression": "none", "row_group_size": 30, "use_dictionary": False},
]
N_ROWS = 200
SECONDS = 1_704_067_200


def base_table() -> pa.Table:
    rng = random.Random(1)
    times = [(SECONDS + rng.randrange(1000)) * 10**6 for _ in range(N_ROWS)]
    numbers = [None if rng.random() < 0.1 else rng.randrange(10**6) for _ in range(N_ROWS)]
    return pa.table(
        {
            "k": pa.array([rng.randrange(20) for _ in range(N_ROWS)], pa.int64()),
            "at": pa.array(times, pa.timestamp("us", "UTC")),
            "number": pa.array(numbers, pa.int64()),
            "real": pa.array([rng.random() for _ in range(N_ROWS)]),
            "text": [rng.choice(["", "a", "a longer text " * 3]) for _ in range(N_ROWS)],
            "items": pa.array([[1, None] * rng.randrange(3) for _ in range(N_ROWS)]),
        }
    )


def spine() -> pa.Table:
    keys = list(range(22)) * 2
    times = [(SECONDS + 500 + 500 * (i // 22)) * 10**6 for i in range(len(keys))]
    return pa.table({"k": keys, "event_timestamp": pa.array(times, pa.timestamp("us", "UTC"))})


def damage(content: bytes, seed: int) -> bytes:
    """Return a file's bytes with one to four wounds, half of them in the footer."""
    rng = random.Random(seed)
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4])):
        n_footer = int.from_bytes(content[-8:-4], "little") + 8
        in_footer = rng.random() < 0.5
        begin, end = (len(content) - n_footer, len(content)) if in_footer else (0, len(content))
        at = min(rng.randrange(begin, end), len(data) - 1)
        kind = rng.randrange(7)
        if kind <= 1:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            data[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        elif kind == 3:
            data[at : at + rng.randrange(1, 16)] = bytes(rng.randrange(1, 16))
        elif kind == 4:
            del data[at : at + rng.randrange(1, 9)]
        elif kind == 5:
            data[-8:-4] = rng.choice([0, 1, 8, 2**31, len(data), n_footer]).to_bytes(4, "little")
        else:
            data[at:at] = content[at : at + rng.randrange(1, 40)]
    return bytes(data if rng.random() < 0.9 else data[: rng.randrange(1, len(data))])


def documents(view: str, path: str) -> list[dict]:
    source = {"kind": "data_source", "name": view, "type": "file", "path": path}
    schema = [{"name": name, "dtype": dtype} for name, dtype in FEATURES.items()]
    return [
        {"kind": "entity", "name": "k", "join_key": "k", "value_type": "int64"},
        {**source, "timestamp_field": "at"},
        {
            "kind": "feature_view",
            "name": view,
            "entities": ["k"],
            "join_keys": ["k"],
            "source": view,
            "schema": schema,
            "ttl_us": 0,
        },
    ]


def ask(store: _native.Store, view: str, one_step: bool) -> list[list]:
    names = features_of(*(f"{view}:{name}" for name in FEATURES))
    stream, _ = store.historical(names, spine(), force_one_step=one_step)
    table = pa.table(stream)
    return [plain(table[name]) for name in FEATURES]


def ask_or_refuse(store: _native.Store, view: str, one_step: bool) -> list[list] | str:
    try:
        return ask(store, view, one_step)
    except TiffinError as error:
        return str(error)


def flaw_of(sentence: str) -> str:
    """Return what is wrong with an error's sentence, or nothing."""
    if "damaged.parquet" not in sentence:
        return f"the file is not named: {sentence}"
    if "\n" in sentence or "\0" in sentence:
        return f"more than a line: {sentence!r}"
    return ""


def judge(store: _native.Store, view: str, whole: list[list]) -> tuple[str, str]:
    answers = [ask_or_refuse(store, view, one_step) for one_step in (False, True)]
    for answer in answers:
        if isinstance(answer, str) and flaw_of(answer):
            return "wrong", flaw_of(answer)
    if ask_or_refuse(store, "whole", False) != whole:
        return "wrong", "a file without damage is not read any more"
    refusals = [answer for answer in answers if isinstance(answer, str)]
    if refusals:  # a page of a row that does not win is read in one step only
        return "refused", refusals[0]
    if answers[0] != answers[1]:
        return "wrong", "one step and two give different answers"
    return ("same" if answers[0] == whole else "changed"), ""


def write_bases(folder: Path) -> list[bytes]:
    contents = []
    for i, options in enumerate(BASES):
        path = folder / f"base{i}.parquet"
        pq.write_table(base_table(), path, **options)
        contents.append(path.read_bytes())
    return contents


def main() -> None:
    folder, library = Path(sys.argv[1]), sys.argv[2]
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))  # sizes of a footer are anything
    contents = write_bases(folder)
    store = open_store(folder, library, f"from{sys.argv[3]}")
    objects = [*documents("whole", "base0.parquet"), *documents("damaged", "damaged.parquet")]
    (folder / "damaged.parquet").write_bytes(contents[0])
    store.apply(json.dumps({"objects": objects}))
    whole = ask(store, "whole", False)
    for seed in range(int(sys.argv[3]), int(sys.argv[4]) + 1):
        print("start", seed, flush=True)
        content = contents[seed % len(contents)]
        (folder / "damaged.parquet").unlink()
        (folder / "damaged.parquet").write_bytes(damage(content, seed))
        outcome, text = judge(store, "damaged", whole)
        print(outcome, seed, json.dumps(text), flush=True)


if __name__ == "__main__":
    main()
