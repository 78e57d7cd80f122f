"""``tiffin delete``: one definition, whatever its kind."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from tiffin.cli.repo import is_feast, open_store
from tiffin.errors import NotFoundError

if TYPE_CHECKING:
    from tiffin.registry.definition import Definition
    from tiffin.store.feature_store import FeatureStore


def _find(store: "FeatureStore", name: str) -> "Definition | None":
    """Return the first definition of this name, in Feast's order of kinds."""
    getters: dict[str, Callable[[str], Definition]] = {
        "entity": store.get_entity,
        "feature_view": store.get_feature_view,
        "on_demand_feature_view": store.get_on_demand_feature_view,
        "feature_service": store.get_feature_service,
        "data_source": store.get_data_source,
        "saved_dataset": store.get_saved_dataset,
        "validation_reference": store.get_validation_reference,
        "permission": store.get_permission,
    }
    for kind, get in getters.items():
        if any(document["name"] == name for document in store.list_documents(kind)):
            return get(name)
    return None


@click.command("delete")
@click.argument("name", metavar="OBJECT")
@click.pass_context
def delete_command(ctx: click.Context, name: str) -> None:
    """Delete the definition called OBJECT: an entity, a view, a service, a source, ...

    Of several kinds with that name it is the first of: entity, feature view, feature service, data
    source, saved dataset, validation reference, permission. Rows and files stay, and so does the
    definition in past states (--as-of). While the repo's files have it, the next apply brings it
    back.
    """
    store = open_store(ctx)
    found = _find(store, name)
    if found is None:
        if is_feast(ctx):
            click.echo("Object not found. Deletion skipped.")
            return
        raise NotFoundError(f"there is no definition {name!r} in project {store.project!r}")
    store.apply([], objects_to_delete=[found], partial=False)
    click.echo(f"Deleted {type(found).__name__} {name} from {store.project}.")
