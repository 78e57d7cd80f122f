"""The same 1,000 views into a fresh registry, by Feast (its file registry, SQLite online)."""

from typing import Any

from contender import Job, main, result, timed
from feast_repo import open_store
from views import N_FEATURES, names


def views(job: Job) -> list[Any]:
    from feast import Entity, FeatureView, Field, FileSource, ValueType  # type: ignore[import-not-found,unused-ignore]
    from feast.types import Float64, Int64  # type: ignore[import-not-found,unused-ignore]

    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
    source = FileSource(
        name="wide", path=job.path("wide.parquet"), timestamp_field="event_timestamp"
    )
    schema = [Field(name=f"f{i}", dtype=Float64) for i in range(N_FEATURES)]
    schema.append(Field(name="user_id", dtype=Int64))
    return [
        user,
        source,
        *(FeatureView(name=n, entities=[user], schema=schema, source=source) for n in names(job)),
    ]


def measure_apply(job: Job) -> dict[str, Any]:
    store = open_store(job.empty_folder())
    objects = views(job)
    _, figures = timed(lambda: store.apply(objects))
    applied = [view.name for view in store.list_feature_views()]
    return result(figures, {"views": len(applied), "first": min(applied), "last": max(applied)})


def measure_open(job: Job) -> dict[str, Any]:
    import feast  # type: ignore[import-not-found,unused-ignore]

    name = names(job)[-1]
    view, figures = timed(lambda: open_store(job.folder).get_feature_view(name))
    figures["seconds"] *= 1e3
    check = {"view": view.name, "features": len(view.features)}
    return result(figures, check, {"feast": feast.__version__})


def prepare(job: Job) -> None:
    if job.params["step"] == "open":
        measure_apply(job)


def measure(job: Job) -> dict[str, Any]:
    return measure_apply(job) if job.params["step"] == "apply" else measure_open(job)


if __name__ == "__main__":
    main(measure, prepare)
