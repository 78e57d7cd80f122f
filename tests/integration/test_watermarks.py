"""Which rows a materialization looks at: windows, late rows, and what a watermark promises."""

import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tiffin import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from tiffin.types import Int64

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def hour(n: float) -> datetime:
    return T0 + timedelta(hours=n)


class Readings:
    """One view over one file of (key, event hour, created hour, value) rows."""

    def __init__(self, folder: Path, ttl: timedelta | None = None) -> None:
        self.path = folder / "readings.parquet"
        self.write([])
        self.store = FeatureStore(
            config=RepoConfig(project="readings", registry="registry.db", online_ttl="ignore"),
            repo_path=folder,
        )
        sensor = Entity(name="sensor", join_keys=["sensor_id"], value_type=Int64)
        view = FeatureView(
            name="reading",
            entities=[sensor],
            ttl=ttl,
            schema=[Field(name="value", dtype=Int64)],
            source=FileSource(
                path=self.path.name, timestamp_field="at", created_timestamp_column="created"
            ),
        )
        self.store.apply([sensor, view])

    def write(self, rows: list[tuple[int, float, float, int]]) -> None:
        columns: dict[str, Any] = {
            "sensor_id": pa.array([r[0] for r in rows], pa.int64()),
            "at": pa.array([hour(r[1]) for r in rows], pa.timestamp("us", "UTC")),
            "created": pa.array([hour(r[2]) for r in rows], pa.timestamp("us", "UTC")),
            "value": pa.array([r[3] for r in rows], pa.int64()),
        }
        parquet.write_table(pa.table(columns), self.path)

    def step(self, end: float, known_at: float) -> dict[str, Any]:
        report = self.store.materialize_incremental(hour(end), known_at=hour(known_at))
        return report.views[0]

    def values(self, *keys: int) -> list[Any]:
        answer = self.store.get_online_features(["reading:value"], {"sensor_id": list(keys)})
        return answer.to_dict()["value"]


@pytest.fixture
def readings(tmp_path: Path) -> Readings:
    return Readings(tmp_path)


def test_a_late_row_arrives_with_the_next_incremental_run(readings: Readings) -> None:
    rows = [(1, 1, 1, 10), (2, 5, 5, 20)]
    readings.write(rows)
    readings.step(end=10, known_at=10)
    assert readings.values(1, 2) == [10, 20]
    readings.write([*rows, (1, 3, 11, 30), (2, 4, 11, 40)])  # both before the last run's end
    report = readings.step(end=12, known_at=12)
    assert report["rows_late"] == 2
    assert readings.values(1, 2) == [30, 20]  # 40 is older than what key 2 has


def test_a_row_that_was_not_known_yet_comes_when_it_is(readings: Readings) -> None:
    readings.write([(1, 1, 1, 10), (1, 2, 8, 20)])
    readings.step(end=5, known_at=5)
    assert readings.values(1) == [10]
    readings.step(end=5, known_at=9)
    assert readings.values(1) == [20]


def test_going_back_in_knowledge_loses_nothing_for_later_runs(readings: Readings) -> None:
    readings.write([(1, 1, 1, 10), (1, 6, 8, 20)])
    readings.step(end=5, known_at=10)
    readings.step(end=7, known_at=7)  # the row of hour 6 is known only from hour 8 on
    assert readings.values(1) == [10]
    readings.step(end=7, known_at=12)
    assert readings.values(1) == [20]


def test_an_end_before_the_last_end_does_not_hide_late_rows(readings: Readings) -> None:
    rows = [(1, 1, 1, 10)]
    readings.write(rows)
    readings.step(end=10, known_at=10)
    readings.write([*rows, (1, 8, 11, 20)])
    readings.step(end=5, known_at=12)  # does not look at hour 8
    assert readings.values(1) == [10]
    readings.step(end=12, known_at=13)
    assert readings.values(1) == [20]


def test_filling_in_an_old_window_does_not_hide_late_rows(readings: Readings) -> None:
    rows = [(1, 1, 1, 10), (2, 7, 7, 70)]
    readings.write(rows)
    readings.step(end=10, known_at=10)
    readings.write([*rows, (2, 8, 11, 80)])
    readings.store.materialize(hour(0), hour(2), known_at=hour(12))
    assert readings.values(2) == [70]
    readings.step(end=12, known_at=13)
    assert readings.values(2) == [80]


def test_a_first_incremental_run_starts_one_ttl_before_its_end(tmp_path: Path) -> None:
    readings = Readings(tmp_path, ttl=timedelta(hours=4))
    readings.write([(1, 1, 1, 10), (2, 6, 6, 20), (3, 9, 9, 30)])
    readings.step(end=10, known_at=10)
    assert readings.values(1, 2, 3) == [None, 20, 30]


def test_both_ends_of_a_window_are_included(readings: Readings) -> None:
    readings.write([(1, 1, 1, 10), (2, 2, 2, 20), (3, 3, 3, 30), (4, 4, 4, 40)])
    readings.store.materialize(hour(2), hour(3))
    assert readings.values(1, 2, 3, 4) == [None, 20, 30, None]


def test_a_second_identical_run_changes_nothing(readings: Readings) -> None:
    readings.write([(1, 1, 1, 10), (2, 2, 2, 20)])
    readings.store.materialize(None, hour(5))
    report = readings.store.materialize(None, hour(5)).views[0]
    assert (report["rows_written"], report["rows_same"]) == (0, 2)


def test_a_run_that_reads_nothing_says_which_dates_there_are(readings: Readings) -> None:
    readings.write([(1, 1, 1, 10), (1, 4, 4, 20)])
    note = readings.store.materialize(hour(100), hour(200)).views[0]["note"]
    assert "2026-01-01T01:00:00Z" in note
    assert "2026-01-01T04:00:00Z" in note


def test_rows_that_vanished_from_the_online_store_are_loaded_again(
    readings: Readings, tmp_path: Path
) -> None:
    readings.write([(1, 1, 1, 10), (2, 8, 8, 20)])
    readings.step(end=5, known_at=5)
    shutil.rmtree(tmp_path / "data" / "online")
    code = (
        "import sys, tiffin\n"
        "c = tiffin.RepoConfig(project='readings', registry='registry.db')\n"
        "s = tiffin.FeatureStore(config=c, repo_path=sys.argv[1])\n"
        "r = s.materialize_incremental('2026-01-01T10:00:00Z', known_at='2026-01-01T10:00:00Z')\n"
        "assert r.views[0]['rows_written'] == 2, r\n"
        "assert 'lost' in r.views[0]['note'], r\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)


def test_a_view_that_is_named_twice_is_loaded_once(readings: Readings) -> None:
    readings.write([(1, 1, 1, 10)])
    report = readings.store.materialize(None, hour(5), ["reading", "reading"])
    assert len(report.views) == 1
