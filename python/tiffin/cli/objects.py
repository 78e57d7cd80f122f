"""``tiffin entities|data-sources|feature-views|... list|describe``.

Called as Feast's program, ``list`` prints Feast's columns, and ``describe`` YAML.
"""

from typing import TYPE_CHECKING, Any

import click

from tiffin.cli.feast_tables import feature_views_table, table_of
from tiffin.cli.output import echo_json, echo_plain_table, echo_table
from tiffin.cli.repo import is_feast, json_option, open_store
from tiffin.errors import InvalidError
from tiffin.registry.definition import kind_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from tiffin.store.feature_store import FeatureStore

# Groups of feature views that are shown by their class: name of the group -> class.
_CLASSES = {"stream-feature-views": "StreamFeatureView", "label-views": "LabelView"}
# kind -> columns of the list: heading -> member of the document
_COLUMNS: dict[str, dict[str, str]] = {
    "entity": {"name": "name", "join key": "join_key", "type": "value_type", "tags": "tags"},
    "data_source": {"name": "name", "type": "type", "path": "path", "time": "timestamp_field"},
    "feature_view": {
        "name": "name",
        "entities": "entities",
        "source": "source",
        "features": "n_features",
        "online": "online",
    },
    "on_demand_feature_view": {
        "name": "name",
        "sources": "reads",
        "features": "n_features",
        "mode": "mode",
        "function": "place",
    },
    "feature_service": {"name": "name", "views": "views", "tags": "tags"},
    "saved_dataset": {
        "name": "name",
        "path": "path",
        "features": "n_features",
        "rows": "n_rows",
        "tags": "tags",
    },
    "permission": {"name": "name", "types": "types", "actions": "actions", "tags": "tags"},
    "validation_reference": {"name": "name", "dataset": "dataset_name", "tags": "tags"},
    "project": {"name": "name", "description": "description", "tags": "tags"},
}


def parse_tags(pairs: tuple[str, ...]) -> dict[str, str] | None:
    """Return the tags of ``--tags key:value,key:value``; None for none."""
    tags = {}
    for pair in (pair for text in pairs for pair in text.split(",")):
        key, separator, value = pair.replace("=", ":", 1).partition(":")
        if not separator:
            raise click.UsageError(f"--tags takes key:value; {pair!r} has no colon")
        tags[key] = value
    return tags or None


def _documents(
    store: "FeatureStore", kind: str, tags: dict[str, str] | None, as_of: int | None
) -> list[dict[str, Any]]:
    documents = store.list_documents(kind, tags=tags, as_of=as_of)
    for document in documents:
        if kind == "feature_view":
            keys = set(document["join_keys"])
            names = [f["name"] for f in document["schema"] if f["name"] not in keys]
            document["n_features"] = len(names)
        if kind == "data_source" and document["type"] == "foreign":
            document["type"] = document["class"]
        if kind in ("permission", "validation_reference"):
            document.update(document.pop("content"))
        if kind == "on_demand_feature_view":
            views = [p["name_alias"] or p["view"] for p in document["sources"]]
            document["reads"] = views + document["request_sources"]
            document["n_features"] = len(document["schema"])
            function = document["function"]
            document["place"] = f"{function['module']}.{function['name']}"
        if kind == "saved_dataset":
            document["n_features"] = len(document["features"])
            document["n_rows"] = document["manifest"].get("data", {}).get("rows")
        if kind == "feature_service":
            document["views"] = [p["name_alias"] or p["view"] for p in document["features"]]
    return documents


def _class_of(document: dict[str, Any]) -> str:
    """Name of a view's class, which documents say where it is not the usual one."""
    foreign = document.get("foreign") or {"class": "FeatureView"}
    return str(foreign["class"])


def make_group(kind: str, plural: str) -> click.Group:
    """Return the commands ``list`` and ``describe`` of one kind."""
    words = plural.replace("-", " ") if plural in _CLASSES else kind_words(kind)

    @click.group(plural, help=f"List or describe {plural.replace('-', ' ')}.")
    def group() -> None:
        pass

    @group.command("list", help=f"All {plural.replace('-', ' ')}, by name.")
    @click.option(
        "--tags",
        multiple=True,
        metavar="KEY:VALUE[,...]",
        help="Only those with these tags; may be repeated.",
    )
    @click.option("--as-of", type=int, metavar="COMMIT", help="In a past state.")
    @json_option
    @click.pass_context
    def list_all(
        ctx: click.Context, tags: tuple[str, ...], as_of: int | None, as_json: bool
    ) -> None:
        store, wanted = open_store(ctx), parse_tags(tags)
        if plural == "feature-views" and is_feast(ctx) and not as_json:
            echo_plain_table(*feature_views_table(store, wanted, as_of))
            return
        documents = _documents(store, kind, wanted, as_of)
        if plural in _CLASSES:
            documents = [d for d in documents if _class_of(d) == _CLASSES[plural]]
        if as_json:
            echo_json(documents)
        elif is_feast(ctx):
            echo_plain_table(*table_of(plural, documents))
        else:
            columns = _COLUMNS[kind]
            rows = [[document.get(member) for member in columns.values()] for document in documents]
            echo_table([heading.upper() for heading in columns], rows)

    @group.command("describe", help=f"One {words} in full.")
    @click.argument("name")
    @click.option("--as-of", type=int, metavar="COMMIT", help="In a past state.")
    @json_option
    @click.pass_context
    def describe(ctx: click.Context, name: str, as_of: int | None, as_json: bool) -> None:
        document = open_store(ctx).get_document(kind, name, as_of=as_of)
        if plural in _CLASSES and _class_of(document) != _CLASSES[plural]:
            raise InvalidError(
                f"{name!r} is a {_class_of(document)}; `{ctx.find_root().info_name} feature-views "
                f"describe {name}` shows it"
            )
        echo_described(ctx, document, as_json)

    return group


def echo_described(ctx: click.Context, document: dict[str, Any], as_json: bool) -> None:
    """Print one definition: as lines for people, as JSON, or, as Feast does, as YAML."""
    if as_json:
        echo_json(document)
    elif is_feast(ctx):
        import yaml

        click.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    else:
        _echo_document(document)


def _echo_document(document: dict[str, Any]) -> None:
    from tiffin.report import document_lines

    for line in document_lines(document):
        click.echo(line)


_make: "Callable[[str, str], click.Group]" = make_group
entities_command = _make("entity", "entities")
data_sources_command = _make("data_source", "data-sources")
on_demand_feature_views_command = _make("on_demand_feature_view", "on-demand-feature-views")
feature_services_command = _make("feature_service", "feature-services")
label_views_command = _make("feature_view", "label-views")
stream_feature_views_command = _make("feature_view", "stream-feature-views")
validation_references_command = _make("validation_reference", "validation-references")
