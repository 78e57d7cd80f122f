"""``TiffinComputeEngine``: materialize without a message per value.

Feast's own engines read a source, make a protobuf message of each value and hand these to the
online store. Where both ends are Tiffin's (a `FileSource` and `TiffinOnlineStore`), the engine
loads the rows from the files into LMDB; every other task runs Feast's local engine.
"""

from typing import Any

from feast import BatchFeatureView, StreamFeatureView
from feast.infra.common.materialization_job import MaterializationJobStatus
from feast.infra.compute_engines.local.compute import LocalComputeEngine
from feast.infra.compute_engines.local.job import LocalMaterializationJob
from feast.repo_config import FeastConfigBaseModel
from pydantic import StrictStr

from tiffin.errors import UnsupportedError
from tiffin.feast_plugin import translate
from tiffin.feast_plugin.online_store import TiffinOnlineStore
from tiffin.feast_plugin.values import moment


class TiffinComputeEngineConfig(FeastConfigBaseModel):
    """Settings: ``batch_engine: {type: tiffin.feast_plugin.TiffinComputeEngine}``."""

    type: StrictStr = "tiffin.feast_plugin.TiffinComputeEngine"


class TiffinComputeEngine(LocalComputeEngine):
    """Feast's local engine, and a short way where Tiffin has the source and the online store."""

    def _materialize_one(self, registry: Any, task: Any, **kwargs: Any) -> LocalMaterializationJob:
        view = task.feature_view
        if not self._is_ours(view):
            return super()._materialize_one(registry, task, **kwargs)
        job_id = f"{view.name}-{task.start_time}-{task.end_time}"
        try:
            store = self.online_store.store_of(self.repo_config)
            start, end = moment(task.start_time), moment(task.end_time)
            if start <= end:  # a first increment of old data has no time in it
                store.materialize(start, end, [view.name], progress=False)
        except Exception as error:
            # Feast raises what a job holds, in the caller's thread.
            return LocalMaterializationJob(
                job_id=job_id, status=MaterializationJobStatus.ERROR, error=error
            )
        return LocalMaterializationJob(job_id=job_id, status=MaterializationJobStatus.SUCCEEDED)

    def _is_ours(self, view: Any) -> bool:
        computes = isinstance(view, BatchFeatureView | StreamFeatureView)
        if computes or not isinstance(self.online_store, TiffinOnlineStore):
            return False
        try:
            source = translate.batch_source(view)
            translate.file_source(source, self.repo_config.repo_path, view.name, {})
        except UnsupportedError:
            return False
        return True
