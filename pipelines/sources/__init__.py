"""Where models come from: found on this machine first, downloaded only when that is asked for.

Imports neither torch nor diffusers, so that the command line answers at once.
"""

from ..errors import AigcError
from .inventory import Entry, inventory, verify
from .layout import is_whole_network
from .places import (
    Roots,
    find_embedding,
    find_gan,
    find_language_model,
    find_lora,
    find_model,
    find_network,
    find_part,
    language_models,
    list_gans,
    list_loras,
    list_models,
    list_networks,
    list_parts,
    stamp_of_gan,
)
from .reference import Reference, parse
from .registry import fetch, join
from .resolver import Found, find_file, local, resolve
from .watch import Watch

__all__ = [
    "AigcError",
    "Entry",
    "Found",
    "Reference",
    "Roots",
    "Watch",
    "fetch",
    "find_embedding",
    "find_file",
    "find_gan",
    "find_language_model",
    "find_lora",
    "find_model",
    "find_network",
    "find_part",
    "inventory",
    "is_whole_network",
    "join",
    "language_models",
    "list_gans",
    "list_loras",
    "list_models",
    "list_networks",
    "list_parts",
    "local",
    "parse",
    "resolve",
    "stamp_of_gan",
    "verify",
]
