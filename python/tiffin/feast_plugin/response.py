"""An answer of Tiffin's as Feast's `OnlineResponse`, without a message per value."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from feast.online_response import TIMESTAMP_POSTFIX, OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import (
    FieldStatus,
    GetOnlineFeaturesResponse,
)
from feast.value_type import ValueType

from tiffin import FieldStatus as TiffinStatus
from tiffin.feast_plugin.values import to_messages

if TYPE_CHECKING:
    from tiffin.online.response import OnlineResponse as TiffinResponse

# Feast calls a value that is there and null present.
_STATUSES = {
    TiffinStatus.PRESENT: FieldStatus.PRESENT,
    TiffinStatus.NULL_VALUE: FieldStatus.PRESENT,
    TiffinStatus.NOT_FOUND: FieldStatus.NOT_FOUND,
    TiffinStatus.OUTSIDE_MAX_AGE: FieldStatus.OUTSIDE_MAX_AGE,
}


class TiffinOnlineResponse(OnlineResponse):
    """What a lookup found.

    Parameters
    ----------
    answer : tiffin's OnlineResponse
    dtypes : dict
        Type (Feast's) of each column, features and keys, by its name.
    """

    def __init__(self, answer: "TiffinResponse", dtypes: dict[str, Any]) -> None:
        self._answer = answer
        self._dtypes = dtypes

    @property
    def _feature_types(self) -> dict[str, ValueType]:
        return {name: dtype.to_value_type() for name, dtype in self._dtypes.items()}

    def to_dict(self, include_event_timestamps: bool = False) -> dict[str, list[Any]]:
        """Return values by column; with `include_event_timestamps` ``<name>__ts``, 0 for keys."""
        found = self._answer.to_dict(include_event_timestamps)
        if include_event_timestamps:
            for name in self._answer.names:
                found.setdefault(f"{name}{TIMESTAMP_POSTFIX}", [0] * len(found[name]))
        return found

    @cached_property
    def proto(self) -> GetOnlineFeaturesResponse:  # type: ignore[override,unused-ignore]
        """The answer as a message, made when it is first asked for."""
        values, statuses = self._answer.to_dict(), self._answer.statuses
        times = self._answer.event_timestamps
        message = GetOnlineFeaturesResponse()
        for name in self._answer.names:
            message.metadata.feature_names.val.append(name)
            column = message.results.add()
            column.values.extend(to_messages(values[name], self._dtypes[name]))
            column.statuses.extend(_STATUSES[status] for status in statuses[name])
            for seconds in times.get(name) or [None] * len(values[name]):
                column.event_timestamps.add().FromNanoseconds(round((seconds or 0) * 1e9))
        return message
