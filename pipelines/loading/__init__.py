"""Model files: find, recognise, check, and load one part at a time."""

from .folder import component_classes, empty_parts, pipeline_class, pipeline_settings
from .parts import load_part, part_bytes, stub_part
from .stubs import StubCalled, is_stub

__all__ = [
    "StubCalled",
    "component_classes",
    "empty_parts",
    "is_stub",
    "load_part",
    "part_bytes",
    "pipeline_class",
    "pipeline_settings",
    "stub_part",
]
