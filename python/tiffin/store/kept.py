"""A `FeatureStore`'s verbs for definitions of Feast's that are kept and shown."""

from typing import Any, TypeVar

from tiffin.errors import SchemaError
from tiffin.registry.feature_view import FeatureView
from tiffin.registry.foreign_view import BatchFeatureView, ForeignView, LabelView, StreamFeatureView
from tiffin.registry.kept import Permission, ValidationReference
from tiffin.store.changes import ApplyResult
from tiffin.store.registry import RegistryVerbs

V = TypeVar("V", bound=ForeignView)


class KeptVerbs(RegistryVerbs):
    """Lists and gets permissions, validation references, and stream, batch and label views."""

    def list_permissions(
        self,
        allow_cache: bool = False,  # noqa: ARG002 - Feast has it
        tags: dict[str, str] | None = None,
        *,
        as_of: int | None = None,
    ) -> list[Permission]:
        """All permissions of the project. Parameters as `list_entities`."""
        return self._list(Permission, tags, as_of)

    def list_validation_references(
        self,
        allow_cache: bool = False,  # noqa: ARG002 - Feast has it
        tags: dict[str, str] | None = None,
        *,
        as_of: int | None = None,
    ) -> list[ValidationReference]:
        """All validation references of the project. Parameters as `list_entities`."""
        return self._list(ValidationReference, tags, as_of)

    def get_permission(self, name: str, *, as_of: int | None = None) -> Permission:
        """One permission. Parameters and errors as `get_entity`."""
        return self._get(Permission, name, as_of)

    def get_validation_reference(
        self,
        name: str,
        allow_registry_cache: bool = False,  # noqa: ARG002 - Feast has it
        *,
        as_of: int | None = None,
    ) -> ValidationReference:
        """One validation reference. Parameters and errors as `get_entity`."""
        return self._get(ValidationReference, name, as_of)

    def delete_permission(self, name: str) -> ApplyResult:
        """Delete one permission. Errors as `delete_feature_view`."""
        return self._delete(Permission.kind, name)

    def delete_validation_reference(self, name: str) -> ApplyResult:
        """Delete one validation reference. Errors as `delete_feature_view`."""
        return self._delete(ValidationReference.kind, name)

    def list_batch_feature_views(
        self,
        allow_cache: bool = False,  # noqa: ARG002 - Feast has it
        tags: dict[str, str] | None = None,
        *,
        as_of: int | None = None,
    ) -> list[FeatureView]:
        """Feature views but stream and label views: as in Feast. Parameters as `list_entities`."""
        views = self.list_feature_views(tags=tags, as_of=as_of)
        return [v for v in views if not isinstance(v, StreamFeatureView | LabelView)]

    def list_stream_feature_views(
        self,
        allow_cache: bool = False,  # noqa: ARG002 - Feast has it
        tags: dict[str, str] | None = None,
        *,
        as_of: int | None = None,
    ) -> list[StreamFeatureView]:
        """All stream feature views, which `list_feature_views` has too. As `list_entities`."""
        views = self.list_feature_views(tags=tags, as_of=as_of)
        return [v for v in views if isinstance(v, StreamFeatureView)]

    def list_label_views(
        self,
        allow_cache: bool = False,  # noqa: ARG002 - Feast has it
        tags: dict[str, str] | None = None,
        *,
        as_of: int | None = None,
    ) -> list[LabelView]:
        """All label views, which `list_feature_views` has too. Parameters as `list_entities`."""
        views = self.list_feature_views(tags=tags, as_of=as_of)
        return [v for v in views if isinstance(v, LabelView)]

    def _get_view_of(self, cls: type[V], name: str, as_of: int | None) -> V:
        view: Any = self.get_feature_view(name, as_of=as_of)
        if not isinstance(view, cls):
            raise SchemaError(
                f"feature view {name!r} is a {type(view).__name__}, not a {cls.__name__}"
            )
        return view

    def get_stream_feature_view(
        self,
        name: str,
        allow_registry_cache: bool = False,  # noqa: ARG002 - Feast has it
        *,
        as_of: int | None = None,
    ) -> StreamFeatureView:
        """One stream feature view. Parameters and errors as `get_entity`."""
        return self._get_view_of(StreamFeatureView, name, as_of)

    def get_batch_feature_view(self, name: str, *, as_of: int | None = None) -> BatchFeatureView:
        """One batch feature view. Parameters and errors as `get_entity`."""
        return self._get_view_of(BatchFeatureView, name, as_of)

    def get_label_view(
        self,
        name: str,
        allow_registry_cache: bool = False,  # noqa: ARG002 - Feast has it
        *,
        as_of: int | None = None,
    ) -> LabelView:
        """One label view. Parameters and errors as `get_entity`."""
        return self._get_view_of(LabelView, name, as_of)
