"""Definitions: Feast's constructors, the documents they become, and what is refused."""

import datetime as dt
import pickle

import pytest

from tiffin import errors, types
from tiffin.registry.data_source import CsvFormat, FileSource, ParquetFormat, PushSource
from tiffin.registry.document import from_document, to_documents
from tiffin.registry.entity import Entity
from tiffin.registry.feature_service import FeatureService
from tiffin.registry.feature_view import FeatureView
from tiffin.registry.field import Feature, Field
from tiffin.registry.project import Project
from tiffin.types import Array, Bool, Date, Float32, Int64, String, UnixTimestamp
from tiffin.value_type import ValueType

SOURCE = FileSource(path="d.parquet", timestamp_field="ts")
DRIVER = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)


def view(**changes) -> FeatureView:
    arguments = {
        "name": "v",
        "entities": [DRIVER],
        "source": SOURCE,
        "schema": [
            Field(name="driver_id", dtype=Int64),
            Field(name="a", dtype=Float32),
            Field(name="b", dtype=Array(String)),
        ],
        "ttl": dt.timedelta(days=1),
    }
    return FeatureView(**{**arguments, **changes})


def test_documents_write_all_defaults_out():
    assert Project(name="p").to_document() == {
        "kind": "project",
        "name": "p",
        "description": "",
        "tags": {},
        "owner": "",
    }
    assert Entity(name="e").to_document() == {
        "kind": "entity",
        "name": "e",
        "join_key": "e",
        "value_type": "unknown",
        "description": "",
        "tags": {},
        "owner": "",
    }
    assert FileSource(path="a/b.csv").to_document() == {
        "kind": "data_source",
        "name": "a/b.csv",
        "type": "file",
        "path": "a/b.csv",
        "format": "",
        "s3_endpoint_override": "",
        "timestamp_field": "",
        "created_timestamp_column": "",
        "field_mapping": {},
        "date_partition_column": "",
        "description": "",
        "tags": {},
        "owner": "",
    }
    assert PushSource(name="push", batch_source=SOURCE).to_document() == {
        "kind": "data_source",
        "name": "push",
        "type": "push",
        "batch_source": "d.parquet",
        "description": "",
        "tags": {},
        "owner": "",
    }
    assert FeatureView(name="v", source=SOURCE).to_document() == {
        "kind": "feature_view",
        "name": "v",
        "entities": [],
        "join_keys": [],
        "source": "d.parquet",
        "schema": [],
        "ttl_us": 0,
        "online": True,
        "offline": False,
        "description": "",
        "tags": {},
        "owner": "",
        "inferred": [],
    }
    assert FeatureService(name="s", features=[view()]).to_document() == {
        "kind": "feature_service",
        "name": "s",
        "features": [{"view": "v", "name_alias": "", "features": ["a", "b"], "join_key_map": {}}],
        "description": "",
        "tags": {},
        "owner": "",
    }


@pytest.mark.parametrize(
    "made",
    [
        Project(name="p", description="d", tags={"a": "b"}, owner="o"),
        Entity(name="e", join_keys=["k"], value_type=String, description="d", tags={"a": "b"}),
        Entity(name="e", value_type=Date),
        FileSource(
            name="s",
            path="p",
            timestamp_field="t",
            created_timestamp_column="c",
            field_mapping={"x": "y"},
            file_format=CsvFormat(),
            description="d",
            tags={"a": "b"},
            owner="o",
        ),
        PushSource(name="push", batch_source=SOURCE, description="d"),
        view(description="d", tags={"a": "b"}, owner="o", online=False, offline=True),
        view(ttl=None, entities=[]),
        FeatureService(name="s", features=[view()[["b"]].with_name("x")], owner="o"),
    ],
    ids=lambda made: f"{made.kind}-{made.name}",
)
def test_a_document_gives_the_same_object_back(made):
    again = from_document(made.to_document())
    assert again.to_document() == made.to_document()
    assert type(again) is type(made)
    assert again == made
    assert hash(again) == hash(made)
    assert pickle.loads(pickle.dumps(made)) == made


def test_read_only_members_of_the_registry_become_times():
    document = {
        **DRIVER.to_document(),
        "created_timestamp": "2024-01-01T00:00:00Z",
        "last_updated_timestamp": "2024-01-02T00:00:00.5Z",
        "hash": "00",
    }
    entity = from_document(document)
    assert entity.created_timestamp == dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    assert entity.last_updated_timestamp.microsecond == 500_000
    assert entity == DRIVER


@pytest.mark.parametrize(
    ("spelling", "text"),
    [
        (Int64, "int64"),
        (ValueType.INT64, "int64"),
        (ValueType.DOUBLE, "float64"),
        (ValueType.UNIX_TIMESTAMP_LIST, "array<timestamp>"),
        (int, "int64"),
        (str, "string"),
        (bool, "bool"),
        (dt.datetime, "timestamp"),
        (dt.date, "date"),
        ("float32", "float32"),
        ("array<bytes>", "array<bytes>"),
        (Array(Bool), "array<bool>"),
        (Array(ValueType.INT32), "array<int32>"),
        (types.Decimal, "decimal"),
        (types.Set(Int64), "set<int64>"),
        (types.Struct({"a": Int64}), "struct"),
        (ValueType.MAP, "map"),
    ],
)
def test_types_in_every_spelling(spelling, text):
    assert Field(name="f", dtype=spelling).to_document()["dtype"] == text


def test_types_compare_and_travel():
    assert Array(Int64) == Array(Int64) != Array(String)
    assert types.from_text("array<int64>") == Array(Int64)
    assert isinstance(types.from_text("array<int64>"), Array)
    assert Int64.to_value_type() is ValueType.INT64
    assert Array(Float32).to_value_type() is ValueType.FLOAT_LIST
    assert pickle.loads(pickle.dumps(Array(Date))) == Array(Date)
    assert repr(Array(UnixTimestamp)) == "Array(UnixTimestamp)"
    with pytest.raises(AttributeError):
        Int64.text = "int32"


def test_older_spellings():
    old = FeatureView(
        name="v",
        entities=["driver"],
        features=[Feature("a", ValueType.FLOAT), Feature(name="b", dtype=ValueType.STRING_LIST)],
        batch_source=FileSource(path="d.parquet", event_timestamp_column="ts"),
        ttl=0,
    )
    document = old.to_document()
    assert document["schema"][0]["dtype"] == "float32"
    assert document["source"] == "d.parquet"
    assert document["ttl_us"] == 0
    assert "join_keys" not in document  # the registry knows the entity
    assert old.batch_source.timestamp_field == "ts"
    assert Entity(name="e", join_key="k").join_keys == ["k"]
    applied = to_documents([old, DRIVER])
    assert applied[-1]["join_keys"] == ["driver_id"]


def test_format_is_given_as_object_or_text():
    assert FileSource(path="x", file_format=ParquetFormat()).file_format == "parquet"
    assert FileSource(path="x", file_format="CSV").file_format == "csv"


def test_parts_of_a_view():
    v = view()
    assert [f.name for f in v.features] == ["a", "b"]
    assert [f.name for f in v.entity_columns] == ["driver_id"]
    assert v.join_keys == ["driver_id"]
    assert v.entities == ["driver"]
    composite = view(entities=[DRIVER, Entity(name="day", value_type=Date)])
    assert composite.join_keys == ["driver_id", "day"]


def test_projections_never_change_the_view():
    v = view()
    before = v.to_document(), v.projection.to_document()
    part = v[["b"]].with_name("alias").with_join_key_map({"driver_id": "other"})
    assert part.projection.to_document() == {
        "view": "v",
        "name_alias": "alias",
        "features": ["b"],
        "join_key_map": {"driver_id": "other"},
    }
    assert part.projection.name_to_use() == "alias"
    part.tags["x"] = "y"
    assert (v.to_document(), v.projection.to_document()) == before
    assert part != v
    assert v.with_projection(part.projection).projection == part.projection


def test_a_view_brings_its_source_and_entities_once():
    push = PushSource(name="push", batch_source=SOURCE)
    documents = to_documents([view(), view(name="w", source=push), DRIVER, SOURCE])
    assert [(d["kind"], d["name"]) for d in documents] == [
        ("entity", "driver"),
        ("data_source", "d.parquet"),
        ("data_source", "push"),
        ("feature_view", "v"),
        ("feature_view", "w"),
    ]


def test_a_view_without_schema_is_left_to_inference():
    v = FeatureView(name="v", source=SOURCE, entities=[DRIVER])
    assert v.to_document()["schema"] == []
    assert FeatureService(name="s", features=[v]).to_document()["features"][0]["features"] == []
    assert v[["anything"]].projection.desired_features == ["anything"]


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (
            lambda: Entity(name="x", join_keys=["a", "b"]),
            ValueError,
            "Entity 'x': one join key is possible, not 2 (a, b); for a composite key define one "
            "entity per column and give the view all of them",
        ),
        (lambda: Entity(name=3), TypeError, "Entity: name must be a str, not int 3"),
        (lambda: Entity(name=""), ValueError, "Entity: name must not be empty"),
        (
            lambda: Entity(name="x", join_keys="id"),
            TypeError,
            "Entity 'x': join_keys must be a list of str, not str 'id'",
        ),
        (
            lambda: Entity(name="x", value_type=3),
            TypeError,
            "Entity 'x': value_type: a type of tiffin.types or a ValueType is needed, e.g. Int64, "
            "not int 3",
        ),
        (
            lambda: Field(name="a", dtype=Array),
            TypeError,
            "Field 'a': dtype: Array needs the type of its items, e.g. Array(Int64)",
        ),
        (
            lambda: Field(name="a", dtype="int46"),
            ValueError,
            "Field 'a': dtype: 'int46' is not a type; write e.g. bool, bytes, date, float64, "
            "int64, string, timestamp or array<int64>",
        ),
        (
            lambda: Field(name="a", dtype=Int64, tags={"a": 1}),
            TypeError,
            "Field 'a': tags must be a dict of str to str, but it holds 'a': 1",
        ),
        (
            lambda: Field(name="a", dtype=Array(Float32), vector_index=True),
            NotImplementedError,
            "Field 'a': vector_index=True is Feast's, but this release does not run it; leave "
            "vector_index out",
        ),
        (
            lambda: FileSource(path="x", timestamp_field="a", created_timestamp_column="a"),
            ValueError,
            "FileSource 'x': timestamp_field and created_timestamp_column are both 'a'; leave "
            "created_timestamp_column out when there is none",
        ),
        (
            lambda: FileSource(path="x", timestamp_field="a", event_timestamp_column="b"),
            ValueError,
            "FileSource 'x': timestamp_field and event_timestamp_column mean the same; give one of "
            "them",
        ),
        (
            lambda: FileSource(path="x", file_format="delta"),
            ValueError,
            "FileSource 'x': file_format 'delta' does not exist in this release; it may be "
            "parquet, csv or json",
        ),
        (
            lambda: PushSource(name="p", batch_source=3),
            TypeError,
            "PushSource 'p': batch_source must be a FileSource, not int",
        ),
        (
            lambda: FeatureView(name="v"),
            ValueError,
            "FeatureView 'v': source is missing; give a FileSource or a PushSource",
        ),
        (
            lambda: view(ttl=3),
            TypeError,
            "FeatureView 'v': ttl must be a timedelta or None, not int 3; write e.g. "
            "timedelta(days=7)",
        ),
        (
            lambda: view(schema=["a"]),
            TypeError,
            "FeatureView 'v': schema[0] must be Field, not str 'a'",
        ),
        (
            lambda: view(schema=[Field(name="a", dtype=Int64), Field(name="a", dtype=Bool)]),
            ValueError,
            "FeatureView 'v': the schema has two fields named 'a'",
        ),
        (
            lambda: view(entities=DRIVER),
            TypeError,
            f"FeatureView 'v': entities must be a list of Entity or str, not Entity "
            f"{repr(DRIVER)[:57]}...",
        ),
        (
            lambda: view(entities=[DRIVER, DRIVER]),
            ValueError,
            "FeatureView 'v': entity 'driver' is given twice",
        ),
        (
            lambda: view(entities=[DRIVER, Entity(name="other", join_keys=["driver_id"])]),
            ValueError,
            "FeatureView 'v': entities 'driver' and 'other' have the same join key 'driver_id'",
        ),
        (
            lambda: view(org=3),
            TypeError,
            "FeatureView 'v': org must be a str, not int 3",
        ),
        (
            lambda: view(version=2),
            TypeError,
            "FeatureView 'v': version must be a str, not int 2",
        ),
        (
            lambda: view(sink_source="x"),
            TypeError,
            "FeatureView 'v': sink_source must be a data source, not str",
        ),
        (
            lambda: view(online="yes"),
            TypeError,
            "FeatureView 'v': online must be True or False, not str 'yes'",
        ),
        (
            lambda: view()["a"],
            TypeError,
            "FeatureView 'v': write view[['a']], with a list of feature names",
        ),
        (lambda: view()[["z"]], KeyError, "FeatureView 'v' has no feature 'z'; it has a, b"),
        (lambda: view()[[]], ValueError, "FeatureView 'v': view[[]] asks for no feature"),
        (
            lambda: view().with_join_key_map({"x": "y"}),
            KeyError,
            "FeatureView 'v': join_key_map names 'x', but its join keys are driver_id",
        ),
        (
            lambda: FeatureService(name="s", features=[]),
            ValueError,
            "FeatureService 's': features is empty; give at least one view",
        ),
        (
            lambda: FeatureService(name="s", features=["v:a"]),
            TypeError,
            "FeatureService 's': features[0] must be FeatureView, OnDemandFeatureView or "
            "FeatureViewProjection, not str 'v:a'",
        ),
        (
            lambda: to_documents([DRIVER, Entity(name="driver")]),
            ValueError,
            "two different definitions are given for entity 'driver'",
        ),
        (
            lambda: to_documents([Project(name="a"), Project(name="b")]),
            ValueError,
            "one project can be applied at a time, not a, b",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(make, error, sentence):
    with pytest.raises(error) as caught:
        make()
    assert isinstance(caught.value, errors.TiffinError)
    assert str(caught.value) == sentence


def test_every_code_has_a_class_that_people_expect():
    expected = {
        "INVALID": ValueError,
        "NOT_FOUND": KeyError,
        "SCHEMA": TypeError,
        "LIMIT": MemoryError,
        "NO_MEMORY": MemoryError,
        "IO": OSError,
        "CORRUPT": RuntimeError,
        "CONFLICT": RuntimeError,
        "CANCELLED": RuntimeError,
        "UNSUPPORTED": NotImplementedError,
        "UNAVAILABLE": ConnectionError,
    }
    assert set(errors.BY_CODE) == set(expected)
    for code, base in expected.items():
        raised = errors.BY_CODE[code]("a sentence, 'quoted'")
        assert isinstance(raised, base)
        assert isinstance(raised, errors.TiffinError)
        assert str(raised) == "a sentence, 'quoted'"
        assert raised.code == code
