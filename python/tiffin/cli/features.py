"""``tiffin features list|describe``."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from tiffin.cli.output import FEAST_INDENT, echo_json, echo_plain_table
from tiffin.cli.repo import is_feast, open_store
from tiffin.errors import NotFoundError

if TYPE_CHECKING:
    from tiffin.registry.feature_view import FeatureView
    from tiffin.registry.field import Field
    from tiffin.registry.on_demand_feature_view import OnDemandFeatureView
    from tiffin.store.feature_store import FeatureStore


@click.group("features")
def features_command() -> None:
    """List or describe features."""


def _features(
    store: "FeatureStore",
) -> Iterator[tuple["FeatureView | OnDemandFeatureView", "Field"]]:
    for view in store.list_all_feature_views():
        for field in view.features:
            yield view, field


@features_command.command("list")
@click.option(
    "--output",
    type=click.Choice(["table", "json"], case_sensitive=False),
    default="table",
    show_default=True,
    help="Form of the list.",
)
@click.pass_context
def list_(ctx: click.Context, output: str) -> None:
    """All features of all views.

    Called as Feast's program, the JSON has the names of feature and view the wrong way round, as
    Feast's has.
    """
    found = [
        (field.name, view.name, str(field.dtype)) for view, field in _features(open_store(ctx))
    ]
    if output.lower() == "json":
        names = ("feature_name", "feature_view", "dtype")
        if is_feast(ctx):
            found = [(view, feature, dtype) for feature, view, dtype in found]
        echo_json([dict(zip(names, row, strict=True)) for row in found], FEAST_INDENT)
    else:
        echo_plain_table(["Feature", "Feature View", "Data Type"], found)


def _describe(view: "FeatureView | OnDemandFeatureView", field: "Field") -> dict[str, Any]:
    source = getattr(view, "batch_source", None)
    return {
        "Feature Name": field.name,
        "Feature View": view.name,
        "Data Type": str(field.dtype),
        "Description": field.description,
        "Online Store": getattr(view, "online", "N/A"),
        "Source": source.to_document() if source is not None else "N/A",
    }


@features_command.command("describe")
@click.argument("feature_name")
@click.pass_context
def describe(ctx: click.Context, feature_name: str) -> None:
    """Every feature of this name, with its view and source, as JSON."""
    found = [(view, field) for view, field in _features(open_store(ctx))]
    shown = [_describe(view, field) for view, field in found if field.name == feature_name]
    if not shown:
        names = ", ".join(sorted({field.name for _, field in found})) or "none"
        raise NotFoundError(f"there is no feature {feature_name!r}; there are: {names}")
    echo_json(shown, FEAST_INDENT)
