"""One of several writers of the same rows, for test_redis.py and test_redis_feast.py.

usage: python redis_writer_child.py FOLDER FILE ROWS

Writes FOLDER/FILE (Parquet) to the view ``facts`` of the store in FOLDER, ROWS at a time; then
prints how many rows were written, older and the same.
"""

import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from tiffin import FeatureStore


def main() -> None:
    folder, file, step = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    store = FeatureStore(folder)
    table = pq.read_table(folder / file)
    counts: Counter[str] = Counter()
    for first in range(0, table.num_rows, step):
        report = store.write_to_online_store("facts", table.slice(first, step))
        counts.update({k: report[k] for k in ("rows_written", "rows_older", "rows_same")})
    print(*(counts[k] for k in ("rows_written", "rows_older", "rows_same")))


main()
