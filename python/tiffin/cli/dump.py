"""``tiffin registry-dump``."""

import json
from typing import Any

import click

from tiffin.cli.repo import open_store

# Feast's names of the lists. Stream and label views are among the feature views.
_LISTS = {
    "dataSources": "data_source",
    "entities": "entity",
    "featureViews": "feature_view",
    "featureServices": "feature_service",
    "onDemandFeatureViews": "on_demand_feature_view",
    "permissions": "permission",
    "savedDatasets": "saved_dataset",
    "validationReferences": "validation_reference",
}


@click.command("registry-dump")
@click.pass_context
def registry_dump_command(ctx: click.Context) -> None:
    """All definitions of the project as JSON: lists as Feast names them, of Tiffin's documents."""
    store = open_store(ctx)
    dump: dict[str, Any] = {"project": store.project}
    for name, kind in _LISTS.items():
        documents = store.list_documents(kind)
        if documents:
            dump[name] = documents
    click.echo(json.dumps(dump, indent=2, sort_keys=True, ensure_ascii=False))
