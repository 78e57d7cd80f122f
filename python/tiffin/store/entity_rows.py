"""Entity rows of a training set: those that were passed, or what was said of events instead."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiffin.errors import InvalidError

if TYPE_CHECKING:
    from tiffin.offline.frames import Frame


@dataclass(frozen=True, slots=True)
class EventWindow:
    """What is said of events where no entity rows are passed."""

    start_date: Any = None
    end_date: Any = None
    known_at: Any = None
    one_row_per_entity: bool = False

    def is_asked(self) -> bool:
        """Whether anything was said that only makes sense without entity rows."""
        has_date = self.start_date is not None or self.end_date is not None
        return has_date or bool(self.one_row_per_entity)


def read_entity_rows(
    entity_df: Any, frames: Mapping[str, Any] | None, window: EventWindow, base_path: Path
) -> "Frame | None":
    """Read entity rows in any form; None if there are none, and events are to be taken.

    Raises
    ------
    InvalidError
        Entity rows and a window of events, or tables for a query that is not there.
    SchemaError, NotFoundError, IoError
        As `tiffin.offline.frames.read_frame`.
    """
    from tiffin.offline.frames import read_frame

    if entity_df is None:
        if frames:
            raise InvalidError("frames are what SQL may name, and entity_df is not given")
        return None
    if window.is_asked():
        raise InvalidError(
            "start_date, end_date and one_row_per_entity make entity rows of events; leave them "
            "out, or entity_df"
        )
    return read_frame(entity_df, "entity_df", base_path, frames)
