"""Random requests of several views: the engine against the model, and against independent SQL.

TFN_REQUESTS  how many (150; in the long test 2,000); TFN_SEED  the first one. A failure names its
seed: TFN_SEED=SEED TFN_REQUESTS=1 runs it again.
"""

import json
import os
import re
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from engines import find_library, open_store
from histories import NANOS, Cell, Reader, Side, is_known, item_of, model_rows, plain
from random_requests import SPINE_FORMS, Projection, Request, make_request
from sql_twin import Twin

from tiffin import _native, errors

FIRST = int(os.environ.get("TFN_SEED", "1"))
N_REQUESTS = int(os.environ.get("TFN_REQUESTS", "150"))
READERS = {"installed": Reader(), "older": Reader(cuts_zoned_nanos=True)}


@dataclass
class World:
    folder: Path
    requests: list[Request]
    stores: dict[str, _native.Store]
    answers: dict[str, list[pa.Table]]  # by reader, in the order of the requests
    strategies: dict[tuple[str, int], str]  # how those were cut that were held to a memory limit


def make_world(folder: Path, first: int, n: int) -> World:
    print(f"requests: seeds {first} .. {first + n - 1}")
    requests = [make_request(seed) for seed in range(first, first + n)]
    objects = []
    for request in requests:
        request.write(folder)
        objects += list(request.documents())
    stores = {}
    for which in READERS:
        try:
            stores[which] = open_store(folder, find_library(which), which)
        except pytest.skip.Exception:
            continue
        stores[which].apply(json.dumps({"objects": objects}))
    return World(folder, requests, stores, {}, {})


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return make_world(tmp_path_factory.mktemp("requests"), FIRST, N_REQUESTS)


def check_all(world: World, which: str, check: Callable[[Request, pa.Table], None]) -> None:
    """Check the answer of every request, made once; what fails is told with its seed."""
    find_library(which)  # or skip
    answers = world.answers.setdefault(which, [])
    for i, request in enumerate(world.requests):
        try:
            if i == len(answers):
                answers.append(answer_of(world, which, request))
            check(request, answers[i])
        except Exception as error:
            error.add_note(f"TFN_SEED={request.seed} TFN_REQUESTS=1 shows it; {request}")
            raise


def answer_of(world: World, which: str, request: Request) -> pa.Table:
    """Return the answer for `request.spine`; one in parts must say the same of every copy."""
    asked = json.dumps(request.what())
    store, options = world.stores[which], request.options()
    if not request.copies:
        stream, _ = store.historical(asked, request.spine_stream(world.folder), **options)
        return pa.table(stream)
    is_held = which != "older" or not any(view.in_csv for view in request.views.values())
    # (the older DuckDB reads no CSV in the 16 MB that it has of a least limit)
    limit = least_limit(store, request, asked) if is_held else 0
    rows = request.spine_stream(world.folder)
    stream, report = store.historical(asked, rows, **options, memory_limit_bytes=limit)
    table = pa.table(stream)
    world.strategies[which, request.seed] = json.loads(report)["memory"]["strategy"]
    assert table.select(request.spine.column_names).equals(request.entity_rows())
    first = {row: i for i, row in reversed(list(enumerate(request.copies)))}
    answer = table.take([first[row] for row in range(request.spine.num_rows)])
    copies = answer.take(request.copies)
    for name in request.names():
        assert same_cells(table[name], copies[name]), name
    return answer


def same_cells(a: pa.ChunkedArray, b: pa.ChunkedArray) -> bool:
    """To Arrow no NaN is equal to any, and zeros are without signs."""
    is_exact = not pa.types.is_floating(item_of(a.type))
    return a.equals(b) if is_exact else plain(a) == plain(b)


def least_limit(store: _native.Store, request: Request, asked: str) -> int:
    """Return a memory limit that the smallest parts fit in, and little more."""
    rows = request.entity_rows()

    def refusal(limit: int) -> str:
        try:
            store.explain(asked, rows, **request.options(), memory_limit_bytes=limit)
        except errors.LimitError as error:
            return str(error)
        return ""

    found = re.search(r"would do is (\d+)MB$", refusal(1))
    assert found
    most = int(found[1]) * 1_000_000
    limits = range(most - 1_000_000, most, 100_000)
    return [*limits, most][bisect_left(limits, True, key=lambda limit: not refusal(limit))]


def check_model(request: Request, table: pa.Table, reader: Reader) -> None:
    assert table.select(request.spine.column_names).equals(request.spine)
    assert table.column_names == [*request.spine.column_names, *request.names()]
    for name, output in zip(request.names(), request.outputs, strict=True):
        its_reader = replace(reader, is_csv=output.projection.history.in_csv)
        assert table[name].type == its_reader.type_of(output.kind), name
        assert plain(table[name]) == output.cells(its_reader), name


@pytest.mark.parametrize("which", READERS)
def test_every_view_of_a_request_gives_what_the_model_gives(world, which):
    check_all(world, which, lambda request, table: check_model(request, table, READERS[which]))


def instants(column: pa.ChunkedArray) -> list[Cell]:
    """Return cells with their times as nanoseconds."""
    item = item_of(column.type)
    scale = NANOS[item.unit] if pa.types.is_timestamp(item) else 1

    def scaled(cell: Cell) -> Cell:
        if isinstance(cell, list):
            return [scaled(part) for part in cell]
        return cell * scale if scale != 1 and cell is not None else cell

    return [scaled(cell) for cell in plain(column)]


def cut_toward_zero(cell: Cell) -> Cell:
    if isinstance(cell, list):
        return [cut_toward_zero(part) for part in cell]
    return cell if cell is None else (abs(cell) // 1000 * 1000) * (1 if cell >= 0 else -1)


def check_sql(
    db: duckdb.DuckDBPyConnection, folder: Path, request: Request, table: pa.Table, twin: Twin
) -> None:
    names = dict(
        zip([(id(o.projection), o.feature) for o in request.outputs], request.names(), strict=True)
    )

    def check(projection: Projection) -> None:
        source = folder / request.folder_of(projection.view)
        history = projection.history
        kinds = dict(zip(history.feature_names, history.feature_kinds, strict=True))
        expected = twin.answer(db, history, source, projection.features)
        for feature in projection.features:
            cells = instants(expected[feature])
            item = item_of(kinds[feature].arrow)
            if twin.cuts_zoned_nanos and kinds[feature].is_time() and item.tz is not None:
                cells = [cut_toward_zero(cell) for cell in cells]
            assert instants(table[names[id(projection), feature]]) == cells, feature

    for projection in request.projections:
        check(projection)


@pytest.fixture(scope="module")
def db():
    with duckdb.connect() as db:
        db.execute("set TimeZone = 'UTC'")
        db.execute("set threads = 1")
        yield db


@pytest.mark.parametrize("which", READERS)
def test_every_view_of_a_request_gives_what_sql_gives(world, db, which):
    twin = Twin(cuts_zoned_nanos=READERS[which].cuts_zoned_nanos)
    check_all(
        world, which, lambda request, table: check_sql(db, world.folder, request, table, twin)
    )


@pytest.mark.parametrize("which", READERS)
def test_the_events_of_a_view_are_entity_rows_like_any_others(world, which):
    find_library(which)
    asked = [request for request in world.requests if len(request.projections) == 1]
    for request in asked:
        try:
            check_events(world.stores[which], request, READERS[which])
        except Exception as error:
            error.add_note(f"TFN_SEED={request.seed} TFN_REQUESTS=1 shows it; {request}")
            raise


def check_events(store: _native.Store, request: Request, reader: Reader) -> None:
    """Entity rows made of all events: when they are, and the features that they get."""
    projection = request.projections[0]
    history = projection.history
    its_reader = replace(reader, is_csv=history.in_csv)
    asked = json.dumps(request.what())
    ever = {"start_us": -(2**63) + 2, "end_us": 2**63 - 2}
    events = pa.table(store.events(asked, **ever, known_at_us=request.known_at_us))
    rows = model_rows(history, history.source, its_reader)
    taking_part = [row for row in rows if row.key is not None and row.time is not None]
    times = [row.time for row in taking_part if is_known(row, request.known_at_us)]
    assert instants(events["event_timestamp"]) == sorted(times)
    spine = Side(
        n=events.num_rows,
        keys=[plain(events[name]) for name in projection.columns],
        key_types=[events[name].type for name in projection.columns],
        times=plain(events["event_timestamp"]),
        time_type=events["event_timestamp"].type,
    )
    expected = replace(projection, history=replace(history, spine=spine))
    stream, _ = store.historical(asked, events, **request.options())
    table = pa.table(stream)
    for name, output in zip(request.names(), request.outputs, strict=True):
        cells = replace(output, projection=expected).cells(its_reader)
        assert plain(table[name]) == cells, name


def test_the_requests_have_what_rules_could_slip_at(world):
    if N_REQUESTS < 100:
        pytest.skip("too few requests to have everything")
    requests = world.requests
    projections = [projection for request in requests for projection in request.projections]
    histories = [projection.history for projection in projections]
    assert sum(len(request.views) > 2 for request in requests) > 10
    assert sum(bool(projection.alias) for projection in projections) > 10
    assert sum(p.columns != p.history.key_names for p in projections) > 10
    assert sum(not history.key_kinds for history in histories) > 10
    assert sum(len(history.key_kinds) > 1 for history in histories) > 10
    assert sum(history.in_csv for history in histories) > 10
    assert sum(bool(history.file_names) for history in histories) > 10
    assert sum(request.filter_by_created for request in requests) > 10
    assert sum(request.known_at_us is not None for request in requests) > 10
    assert {request.form for request in requests} == {"features", "projections", "service"}
    assert {request.full_names for request in requests} == {True, False}
    assert {request.spine_form for request in requests} == set(SPINE_FORMS)
    assert sum(len(request.projections) == 1 for request in requests) > 10
    cuts = list(world.strategies.values())
    assert min(cuts.count("by time"), cuts.count("by rows")) > 5, cuts


@pytest.mark.long
@pytest.mark.parametrize("which", READERS)
def test_thousands_of_requests_give_what_the_model_and_sql_give(tmp_path, db, which):
    n = int(os.environ.get("TFN_REQUESTS", "2000"))
    reader = READERS[which]
    twin = Twin(cuts_zoned_nanos=reader.cuts_zoned_nanos)
    for first in range(FIRST, FIRST + n, 200):
        folder = tmp_path / str(first)
        world = make_world(folder, first, min(200, FIRST + n - first))

        def check(request: Request, table: pa.Table, folder: Path = folder) -> None:
            check_model(request, table, reader)
            check_sql(db, folder, request, table, twin)

        check_all(world, which, check)
