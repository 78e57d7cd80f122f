"""The verbs of a `FeatureStore` for saved datasets: create, get, list, delete."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tiffin.errors import (
    ConflictError,
    NotFoundError,
    SavedDatasetAlreadyExists,
    SchemaError,
)
from tiffin.offline.deadline import Deadline
from tiffin.registry.document import to_json
from tiffin.registry.feature_service import FeatureService
from tiffin.registry.saved_dataset import SavedDataset, SavedDatasetFileStorage, as_storage
from tiffin.store.changes import ApplyResult
from tiffin.store.training import TrainingVerbs

if TYPE_CHECKING:
    from pathlib import Path

    from pyarrow import RecordBatchReader

    from tiffin.offline.retrieval import Rows
    from tiffin.offline.retrieval_job import RetrievalJob
    from tiffin.store.training import Features


class DatasetVerbs(TrainingVerbs):
    """What a `FeatureStore` does with training sets that were written down."""

    def create_saved_dataset(
        self,
        from_: "RetrievalJob",
        name: str,
        storage: SavedDatasetFileStorage,
        tags: dict[str, str] | None = None,
        feature_service: FeatureService | None = None,
        allow_overwrite: bool = False,
    ) -> SavedDataset:
        """Write a training set down, under a name, with all that it was made from.

        Parameters
        ----------
        from_ : RetrievalJob
            Computed again if it was computed before, so that the manifest is about what was read;
            if not, it is written as it is computed, within the memory limit.
        name : str
        storage : SavedDatasetFileStorage
        tags : dict of str to str, optional
        feature_service : FeatureService, optional
            Noted as the service that was asked for; default: the one that was.
        allow_overwrite : bool
            Replace a dataset of this name, and what is at the place.

        Returns
        -------
        SavedDataset

        Raises
        ------
        SavedDatasetAlreadyExists, SavedDatasetLocationAlreadyExists
            And `allow_overwrite` is False.
        ConflictError
            Definitions or source files changed while it was made, or since `from_` was computed.
            Nothing is left behind.
        """
        from tiffin.offline.parquet import prepare_target, staged, writer_version

        _check(from_, feature_service)
        target = as_storage(storage).locate(self.config.repo_path)
        dataset = _describe(from_, name, storage, tags, feature_service)
        if not allow_overwrite:
            self._refuse_existing_dataset(name)
        prepare_target(target, allow_overwrite)
        deadline = Deadline(None)
        before = from_.retrieval.make_manifest(writer_version(), deadline)
        with staged(_read_again(from_, deadline), target, deadline) as part:
            manifest = from_.retrieval.make_manifest(writer_version(), deadline)
            _refuse_change(before, manifest)
            files = _describe_files(part.path)
            dataset.manifest = {
                **manifest,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "data": {"files": files, "rows": part.n_rows},
            }
            part.put(allow_overwrite)
            try:
                self._apply_dataset(dataset, allow_overwrite)
            except BaseException:
                part.withdraw()
                raise
        return self.get_saved_dataset(name)

    def create_dataset_from_retrieval(
        self,
        name: str,
        entity_df: Any,
        features: "Features",
        storage: SavedDatasetFileStorage,
        tags: dict[str, str] | None = None,
        allow_overwrite: bool = False,
    ) -> SavedDataset:
        """`get_historical_features` and `create_saved_dataset` in one."""
        job = self.get_historical_features(entity_df=entity_df, features=features)
        return self.create_saved_dataset(
            job, name, storage, tags=tags, allow_overwrite=allow_overwrite
        )

    def get_saved_dataset(self, name: str, *, as_of: int | None = None) -> SavedDataset:
        """One saved dataset.

        Parameters
        ----------
        name : str
        as_of : int, optional
            State after this commit (see `registry_log`); default: now.

        Raises
        ------
        NotFoundError
            There is none of this name; the sentence names those that exist.
        """
        return self._get(SavedDataset, name, as_of).bind(self._engine, self.config.repo_path)

    def list_saved_datasets(
        self,
        allow_cache: bool = False,  # noqa: ARG002 - Feast has it
        tags: dict[str, str] | None = None,
        *,
        as_of: int | None = None,
    ) -> list[SavedDataset]:
        """All saved datasets of the project. Parameters as `list_entities`."""
        found = self._list(SavedDataset, tags, as_of)
        return [dataset.bind(self._engine, self.config.repo_path) for dataset in found]

    def delete_saved_dataset(self, name: str) -> ApplyResult:
        """Delete one saved dataset's definition, as one commit. Its files stay.

        Raises
        ------
        NotFoundError
            There is none of this name.
        """
        return self._delete(SavedDataset.kind, name)

    def retrieve_dataset_data(self, name: str, limit: int = 10) -> Any:
        """Return the first rows of a saved dataset, as a pandas DataFrame (Feast's name)."""
        return self.get_saved_dataset(name).to_df().head(limit)

    def _refuse_existing_dataset(self, name: str) -> None:
        try:
            self.get_document(SavedDataset.kind, name)
        except NotFoundError:
            return
        raise SavedDatasetAlreadyExists(
            f"a saved dataset {name!r} exists; pass allow_overwrite=True to replace it, or choose "
            "another name"
        )

    def _apply_dataset(self, dataset: SavedDataset, allow_overwrite: bool) -> None:
        """Put the definition in place; of two that make one name at once the first wins."""
        request: dict[str, Any] = {
            "objects": [dataset.to_document()],
            "message": f"saved dataset {dataset.name}",
        }
        while True:
            if not allow_overwrite:
                head = json.loads(self._engine.plan(to_json({"objects": []})))["base_commit"]
                request["expected_commit"] = head
                self._refuse_existing_dataset(dataset.name)
            try:
                self._engine.apply(to_json(request))
            except ConflictError:
                if allow_overwrite:
                    raise
                continue  # somebody applied something meanwhile: perhaps this name
            return


def _check(job: Any, feature_service: Any) -> None:
    from tiffin.offline.retrieval_job import RetrievalJob

    if not isinstance(job, RetrievalJob):
        raise SchemaError(
            "from_ must be a RetrievalJob, which get_historical_features gives, not "
            f"{type(job).__name__}"
        )
    if feature_service is not None and not isinstance(feature_service, FeatureService):
        raise SchemaError(
            f"feature_service must be a FeatureService, not {type(feature_service).__name__}"
        )


def _describe(
    job: "RetrievalJob", name: str, storage: Any, tags: Any, service: FeatureService | None
) -> SavedDataset:
    asked = job.asked()
    metadata = job.metadata
    return SavedDataset(
        name=name,
        features=metadata.features,
        join_keys=metadata.keys,
        storage=storage,
        full_feature_names=job.full_feature_names,
        tags=tags,
        feature_service_name=service.name if service is not None else asked["feature_service"],
        min_event_timestamp=metadata.min_event_timestamp,
        max_event_timestamp=metadata.max_event_timestamp,
    )


def _read_again(job: "RetrievalJob", deadline: Deadline) -> "RecordBatchReader | Rows":
    """Return the rows as they are computed now: those that were shown, if any were."""
    import pyarrow as pa

    from tiffin._native import hash_table

    shown = job.computed()
    if shown is None:
        return job.retrieval.read(deadline)
    stream, _ = job.retrieval.run(deadline)
    if hash_table(shown) != hash_table(stream):
        raise ConflictError(
            "definitions or source files changed since this job was computed, so its rows are not "
            "those of now; nothing was saved, make a new job with get_historical_features"
        )
    return pa.RecordBatchReader.from_stream(stream)


def _refuse_change(before: dict[str, Any], after: dict[str, Any]) -> None:
    if before["hash"] != after["hash"]:
        raise ConflictError(
            "definitions or source files changed while the training set was computed; nothing was "
            "saved, try again"
        )


def _describe_files(path: "Path") -> list[dict[str, Any]]:
    from tiffin._native import describe_dataset_files

    files: list[dict[str, Any]] = json.loads(describe_dataset_files(path))
    return files
