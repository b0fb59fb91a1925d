"""Model files: find, recognise, check, and load one part at a time."""

from ..sources import Roots, find_network, list_loras, list_models, list_networks, list_parts
from .describe import describe
from .embeddings import embeddings_laid, find_embeddings
from .folder import component_classes, empty_parts, pipeline_class, pipeline_settings
from .lora import apply_loras, open_lora, remove_loras
from .opening import fingerprint, open_model
from .parts import holds_weights, load_part, part_bytes, stub_part
from .replace import open_part
from .stubs import StubCalled, is_stub

__all__ = [
    "Roots",
    "StubCalled",
    "apply_loras",
    "component_classes",
    "describe",
    "embeddings_laid",
    "empty_parts",
    "find_embeddings",
    "find_network",
    "fingerprint",
    "holds_weights",
    "is_stub",
    "list_loras",
    "list_models",
    "list_networks",
    "list_parts",
    "load_part",
    "open_lora",
    "open_model",
    "open_part",
    "part_bytes",
    "pipeline_class",
    "pipeline_settings",
    "remove_loras",
    "stub_part",
]
