"""The trial run of `apply`: a view's function on two typed rows, so that mistakes show up early."""

import datetime
import decimal
import uuid
from collections.abc import Callable
from typing import Any

from tiffin.compute.run import Input, Transformation
from tiffin.compute.values import from_result
from tiffin.registry.on_demand_feature_view import OnDemandFeatureView
from tiffin.types import Array, FeatureType, Set, Struct

_SAMPLES: dict[str, list[Any]] = {
    "bool": [True, False],
    "int32": [1, 2],
    "int64": [1, 2],
    "float32": [1.0, 2.5],
    "float64": [1.0, 2.5],
    "string": ["a", "b"],
    "bytes": [b"a", b"b"],
    "date": [datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)],
    "timestamp": [
        datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
        datetime.datetime(2024, 1, 2, 12, tzinfo=datetime.UTC),
    ],
    "uuid": [uuid.UUID(int=1), uuid.UUID(int=2)],
    "time_uuid": [uuid.UUID(int=1), uuid.UUID(int=2)],
    "decimal": [decimal.Decimal("1.50"), decimal.Decimal(2)],
    "json": [{"a": 1}, {}],
    "map": [{"a": "b"}, {}],
    "struct": [{}, {}],
}

TypesOf = Callable[[str], dict[str, FeatureType] | None]
"""Name of a view -> types of its features; None where they are not known."""


def try_view(view: OnDemandFeatureView, types_of: TypesOf) -> None:
    """Run a view's function once on two rows of made-up values, and check what it returns.

    Parameters
    ----------
    view : OnDemandFeatureView
        One without a function at hand is passed over, and so is one that the registry refuses.
    types_of : callable

    Raises
    ------
    InvalidError, SchemaError
        As a run would.
    """
    call = view.function.call
    inputs = _inputs_of(view, types_of)
    if call is None or inputs is None or view.mode not in ("pandas", "python"):
        return
    outputs = {field.name: field.dtype for field in view.features}
    if any(not _is_known(dtype) for dtype in (*outputs.values(), *(i.dtype for i in inputs))):
        return
    columns = {each.column: from_result(_values_of(each.dtype), each.dtype) for each in inputs}
    Transformation(view.name, view.mode, view.singleton, inputs, outputs).run(call, columns, 2)


def _inputs_of(view: OnDemandFeatureView, types_of: TypesOf) -> list[Input] | None:
    """Return the inputs, under the names that the engine would give them."""
    found: list[tuple[str, str, FeatureType]] = []
    for name, projection in view.source_feature_view_projections.items():
        types = types_of(projection.name)
        if types is None:
            return None
        for feature in projection.desired_features or types:
            if feature not in types:
                return None
            found.append((feature, f"{name}__{feature}", types[feature]))
    plain = [feature for feature, _, _ in found]
    inputs = [
        Input([full] if plain.count(feature) > 1 else [feature, full], full, dtype)
        for feature, full, dtype in found
    ]
    if len(view.source_request_sources) < len(view.request_source_names):
        return None
    fields = {f.name: f for s in view.source_request_sources.values() for f in s.schema}
    return inputs + [Input([f.name], f.name, f.dtype, True) for f in fields.values()]


def _is_known(dtype: FeatureType) -> bool:
    """Whether it is a type that this release runs; `apply` refuses others."""
    return _item_of(dtype) in _SAMPLES


def _item_of(dtype: FeatureType) -> str:
    base = dtype.base_type if isinstance(dtype, Array | Set) else dtype
    return "struct" if isinstance(base, Struct) else base.text


def _values_of(dtype: FeatureType) -> list[Any]:
    base = dtype.base_type if isinstance(dtype, Array | Set) else dtype
    values = _objects_of(base) if isinstance(base, Struct) else _SAMPLES[base.text]
    return [values, values[:1]] if isinstance(dtype, Array | Set) else values


def _objects_of(struct: Struct) -> list[Any]:
    """Two values of a struct: every field is there, as its type says."""
    return [
        {
            name: _values_of(field)[i] if _is_known(field) else None
            for name, field in struct.fields.items()
        }
        for i in range(2)
    ]
