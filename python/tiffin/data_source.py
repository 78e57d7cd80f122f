"""Feast's place of the data sources: ``from tiffin.data_source import PushMode``."""

from tiffin.registry.data_source import DataSource, FileSource, PushMode, PushSource
from tiffin.registry.request_source import RequestSource

__all__ = ["DataSource", "FileSource", "PushMode", "PushSource", "RequestSource"]
