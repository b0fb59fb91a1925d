"""One part of a model from a file of its own: a VAE, a text encoder or a denoiser, as people have them."""

from __future__ import annotations

from ..errors import AigcError
from ..payloads import Model, PartFile
from ..sources import Roots, find_part
from .folder import component_classes
from .parts import holds_weights, part_numbers, part_size
from .weights import refuse_pickle

# A converted part may have a few tensors more or fewer (a last layer that is not used, a head); another part has many.
TOLERANCE = 0.25
SUFFIXES = (".safetensors", ".gguf")


def open_part(model: Model, part: str, name: str, *, roots: Roots) -> Model:
    """A copy of `model` whose `part`, e.g. "vae", is read from the file `name`: from the list, or an absolute path.

    The file is checked: its header, that it is no pickle, and that it has about as many numbers as the part needs.
    Raises AigcError when the model has no such part or the file does not fit it.
    """
    parts = [known for known in component_classes(model) if holds_weights(model, known)]
    if part not in parts:
        raise AigcError(
            f"Expected one of this model's parts {', '.join(parts)}, got {part!r}. Choose one of them, or another model."
        )
    path = find_part(name, roots)
    refuse_pickle(path)
    if path.suffix not in SUFFIXES:
        raise AigcError(f"Expected a .safetensors file, got {path.name}. Get the part's .safetensors version.")
    replaced = model.with_part(PartFile(part, path))
    wanted, found = part_size(model, part), part_numbers(replaced, part)
    if abs(found - wanted) > TOLERANCE * wanted:
        raise AigcError(
            f"Expected about {wanted / 1e6:.4g} million numbers for the part {part!r} of {model.pipeline_class}, got "
            f"{found / 1e6:.4g} million in {path.name}: it is another part, or made for another model."
        )
    return replaced
