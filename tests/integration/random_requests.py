"""Random requests for training sets: several views at once, joined in every way that is allowed.

A request has entity rows with a few entities, and views over some of them: of one key, of several,
of none, in files of their own whose columns may be called otherwise. A view may be asked for twice,
under an alias and by other columns of the entity rows. All views and entity rows draw their times
from one pool, so that what can go wrong in one view is likely in all.

What a request must give is the model of histories.py, once for each projection.

Some requests are larger than the memory they are held to, so that they are made in parts: their
entity rows are the few that the model answers, each many times, in any order or in that of time.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from histories import (
    KEY_KINDS,
    SPINE_TIME_TYPES,
    TTLS_US,
    Cell,
    History,
    Kind,
    Reader,
    Side,
    array_of,
    clamp_us,
    make_keys,
    make_pool,
    make_times,
    make_view,
    model_winners,
    spine_key_type,
    write_csv,
    write_parquet,
)

from tiffin.offline.frames import read_frame

SPINE_FORMS = ["table", "chunks", "reader", "dataset", "file"]  # how entity rows are handed over
CUT_ROWS = 3000  # entity rows of a request in parts; the smallest part has 1,024


@dataclass
class Projection:
    """A view as a request sees it: `history.spine` is the entity rows that it is joined by."""

    view: str
    alias: str
    features: list[str]
    columns: list[str]  # of the entity rows, one for each join key
    history: History

    @property
    def name(self) -> str:
        return self.alias or self.view

    def document(self) -> dict[str, Any]:
        keys = zip(self.history.key_names, self.columns, strict=True)
        return {
            "view": self.view,
            "name_alias": self.alias,
            "features": self.features,
            "join_key_map": {key: column for key, column in keys if key != column},
        }


@dataclass
class Output:
    """One column of the answer."""

    projection: Projection
    feature: str

    @property
    def kind(self) -> Kind:
        history = self.projection.history
        return history.feature_kinds[history.feature_names.index(self.feature)]

    def cells(self, reader: Reader) -> list[Cell]:
        """Return what the model says that this column holds."""
        history = self.projection.history
        values = history.features[history.feature_names.index(self.feature)]
        cells = [reader.cell_of(value, self.kind.arrow) for value in values]
        winners = model_winners(history, reader)
        return [None if winner is None else cells[winner] for winner in winners]


@dataclass
class Request:
    seed: int
    entities: list[Kind]
    views: dict[str, History]
    projections: list[Projection]
    outputs: list[Output]
    form: str  # "features", "projections" or "service"
    full_names: bool
    filter_by_created: bool
    known_at_us: int | None
    spine: pa.Table
    spine_form: str
    copies: list[int]  # if it is to be in parts: the row of `spine` that each entity row is

    def folder_of(self, view: str) -> str:
        return f"{'csv' if self.views[view].in_csv else 'parquet'}/{view}"

    def write(self, folder: Path) -> None:
        for view, history in self.views.items():
            write = write_csv if history.in_csv else write_parquet
            write(history, folder / self.folder_of(view))

    def names(self) -> list[str]:
        """Return the names of the answer's columns behind those of the entity rows."""
        return [
            f"{output.projection.name}__{output.feature}" if self.full_names else output.feature
            for output in self.outputs
        ]

    def documents(self) -> Iterator[dict[str, Any]]:
        for i, kind in enumerate(self.entities):
            yield {
                "kind": "entity",
                "name": f"r{self.seed}_e{i}",
                "join_key": f"e{i}",
                "value_type": kind.dtype,
            }
        for view, history in self.views.items():
            yield from self._view_documents(view, history)
        if self.form == "service":
            features = [projection.document() for projection in self.projections]
            yield {"kind": "feature_service", "name": f"r{self.seed}", "features": features}

    def _view_documents(self, view: str, history: History) -> Iterator[dict[str, Any]]:
        columns = [*history.key_names, *history.feature_names]
        yield {
            "kind": "data_source",
            "name": view,
            "type": "file",
            "path": self.folder_of(view),
            "timestamp_field": history.file_name("event_timestamp"),
            "created_timestamp_column": (
                history.file_name("created") if history.has_created else ""
            ),
            "field_mapping": {
                history.file_name(name): name for name in columns if name in history.file_names
            },
        }
        kinds = [*history.key_kinds, *history.feature_kinds]
        yield {
            "kind": "feature_view",
            "name": view,
            "entities": [f"r{self.seed}_{key}" for key in history.key_names],
            "join_keys": history.key_names,
            "source": view,
            "schema": [
                {"name": name, "dtype": kind.dtype}
                for name, kind in zip(columns, kinds, strict=True)
            ],
            "ttl_us": history.ttl_us,
        }

    def what(self) -> dict[str, Any]:
        """Return the request as the engine takes it."""
        if self.form == "service":
            asked: dict[str, Any] = {"service": f"r{self.seed}"}
        elif self.form == "projections":
            asked = {"projections": [projection.document() for projection in self.projections]}
        else:
            asked = {"features": [f"{o.projection.view}:{o.feature}" for o in self.outputs]}
        return {**asked, "full_feature_names": self.full_names}

    def entity_rows(self) -> pa.Table:
        return self.spine.take(self.copies) if self.copies else self.spine

    def spine_stream(self, folder: Path) -> Any:
        """Return the entity rows as the engine takes them; what is a file is in `folder`."""
        rows = self.entity_rows()
        batches = rows.to_batches(max_chunksize=700 if self.copies else 3)
        if self.spine_form == "chunks":
            return pa.Table.from_batches(batches, rows.schema)
        if self.spine_form == "reader":
            return pa.RecordBatchReader.from_batches(rows.schema, batches)
        if self.spine_form == "dataset":
            return read_frame(ds.dataset(rows), "entity_df").stream
        if self.spine_form == "file":
            path = folder / f"r{self.seed}.parquet"
            pq.write_table(rows, path, row_group_size=700)
            return read_frame(path, "entity_df").stream
        return rows

    def options(self) -> dict[str, Any]:
        """Return the other arguments of `Store.historical`."""
        return {
            "time_column": "event_timestamp",
            "filter_by_created": self.filter_by_created,
            "known_at_us": self.known_at_us,
        }


@dataclass
class EntityRows:
    """The columns that views are joined by."""

    n: int
    columns: dict[str, tuple[list[Cell], pa.DataType]]
    times: list[int | None]
    time_type: pa.DataType

    def side(self, columns: list[str]) -> Side:
        chosen = [self.columns[name] for name in columns]
        return Side(
            n=self.n,
            keys=[values for values, _ in chosen],
            key_types=[arrow for _, arrow in chosen],
            times=self.times,
            time_type=self.time_type,
        )

    def table(self, rng: random.Random) -> pa.Table:
        arrays = {name: array_of(*column) for name, column in self.columns.items()}
        arrays["event_timestamp"] = array_of(self.times, self.time_type)
        arrays["label"] = pa.array([f"row {i}" for i in range(self.n)])
        return pa.table({name: arrays[name] for name in rng.sample(list(arrays), len(arrays))})


def make_entity_rows(
    rng: random.Random, pool: list[int], entities: list[Kind], n_values: int
) -> EntityRows:
    """Every entity has two columns: one called like its join key, and another."""
    n = rng.choice([rng.randint(0, 2), rng.randint(3, 30), rng.randint(3, 30)])
    columns = {}
    for i, kind in enumerate(entities):
        for name in (f"e{i}", f"e{i}_other"):
            values = make_keys(rng, n, [kind], 0.05, n_values + 1)[0]
            columns[name] = values, spine_key_type(rng, kind)
    time_type = rng.choice(SPINE_TIME_TYPES)
    times = make_times(rng, n, pool, time_type, 0.0, infinite=False)
    return EntityRows(n, columns, times, time_type)


def make_views(
    rng: random.Random, seed: int, pool: list[int], entities: list[Kind], n_values: int
) -> dict[str, History]:
    views = {}
    for i in range(rng.choices([1, 2, 3, 4], [2, 3, 3, 1])[0]):
        in_csv = all(kind.in_csv for kind in entities) and rng.random() < 0.2
        parts = rng.sample(range(len(entities)), k=rng.randint(0, len(entities)))
        kinds = [
            rng.choice([k for k in KEY_KINDS if k.dtype == entities[part].dtype and k.in_csv])
            if in_csv
            else rng.choice([k for k in KEY_KINDS if k.dtype == entities[part].dtype])
            for part in parts
        ]
        history = make_view(rng, seed, pool, kinds, n_values, rng.choice(TTLS_US), in_csv)
        history.join_keys = [f"e{part}" for part in parts]
        history.prefix = f"v{i}_"
        names = [*history.key_names, *history.feature_names, "event_timestamp", "created"]
        history.file_names = {name: f"{name} in the file" for name in names if rng.random() < 0.25}
        views[f"r{seed}_v{i}"] = history
    return views


def make_projections(
    rng: random.Random, views: dict[str, History], rows: EntityRows, form: str
) -> list[Projection]:
    """Views by their own keys; unless they are asked for as references, some again by others."""
    projections = []
    for view, history in views.items():
        n_times = 1 if form == "features" else rng.choice([1, 1, 2])
        for i in range(n_times):
            columns = [
                f"{key}_other" if form != "features" and rng.random() < 0.4 else key
                for key in history.key_names
            ]
            features = rng.sample(history.feature_names, rng.randint(1, len(history.feature_names)))
            alias = f"{view}_again" if i > 0 else ""
            joined = replace(history, spine=rows.side(columns))
            projections.append(Projection(view, alias, features, columns, joined))
    return projections


def make_outputs(rng: random.Random, projections: list[Projection], form: str) -> list[Output]:
    outputs = [Output(p, feature) for p in projections for feature in p.features]
    if form == "features":
        rng.shuffle(outputs)
    return outputs


def make_spine_form(rng: random.Random, spine: pa.Table) -> str:
    """Parquet has no seconds: such times would come back as milliseconds."""
    has_seconds = any(getattr(t, "unit", "") == "s" for t in spine.schema.types)
    return rng.choice([form for form in SPINE_FORMS if form != "file" or not has_seconds])


def make_copies(rng: random.Random, rows: EntityRows) -> list[int]:
    """Every row of the spine, and then any of them; in the order of time now and then."""
    if rows.n == 0 or rng.random() < 0.88:
        return []
    copies = [*range(rows.n), *rng.choices(range(rows.n), k=CUT_ROWS - rows.n)]
    if rng.random() < 0.3:
        return sorted(copies, key=lambda i: rows.times[i])
    rng.shuffle(copies)
    return copies


def make_request(seed: int) -> Request:
    rng = random.Random(-seed)
    entities = rng.choices(KEY_KINDS, k=rng.choices([0, 1, 2, 3], [1, 8, 6, 3])[0])
    ttl_us = rng.choice(TTLS_US)
    in_csv = all(kind.in_csv for kind in entities)
    pool = make_pool(rng, ttl_us, in_csv)
    n_values = rng.randint(1, 6)
    views = make_views(rng, seed, pool, entities, n_values)
    rows = make_entity_rows(rng, pool, entities, n_values)
    form = rng.choice(["features", "projections", "service"])
    projections = make_projections(rng, views, rows, form)
    has_alias = any(projection.alias for projection in projections)
    has_created = all(history.has_created for history in views.values())
    filter_by_created = has_created and rng.random() < 0.4
    known_at_us = clamp_us(rng.choice(pool)) if has_created and rng.random() < 0.4 else None
    for projection in projections:
        projection.history.filter_by_created = filter_by_created
        projection.history.known_at_us = known_at_us
    spine = rows.table(rng)
    return Request(
        seed=seed,
        entities=entities,
        views=views,
        projections=projections,
        outputs=make_outputs(rng, projections, form),
        form=form,
        full_names=has_alias or rng.random() < 0.5,
        filter_by_created=filter_by_created,
        known_at_us=known_at_us,
        spine=spine,
        spine_form=make_spine_form(rng, spine),
        copies=make_copies(rng, rows),
    )
