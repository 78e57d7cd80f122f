"""Definitions: what people write, and the neutral documents that the engine keeps."""
