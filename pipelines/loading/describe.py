"""What a model is, in words: read from its configs and headers, without loading it."""

from __future__ import annotations

from collections import Counter

from ..errors import AigcError
from ..payloads import Lora, Model
from .families import NAMED
from .folder import INDEX, component_classes
from .parts import part_bytes, part_tensors
from .single_file import family_of


def describe(model: Model) -> str:
    """Family, parts with parameters, number format and size, source, revision, licence and LoRAs; one fact a line."""
    kind = "single file" if model.single_file else "diffusers folder"
    lines = [f"{model.pipeline_class} ({kind})"]
    if not (model.config / INDEX).is_file():
        return "\n".join([*lines, *_facts(model)])
    parameters, size = 0, 0
    for name, (_, class_name) in component_classes(model).items():
        try:
            tensors = part_tensors(model, name)
        except AigcError:
            lines.append(f"  {name}: {class_name}, no safetensors weights")
            continue
        if not tensors:
            lines.append(f"  {name}: {class_name}")
            continue
        count, stored = sum(info.numel for info in tensors.values()), part_bytes(model, name)
        dtypes = Counter(info.dtype for info in tensors.values())
        lines.append(
            f"  {name}: {class_name}, {_count(count)} parameters, "
            f"{'/'.join(dtype for dtype, _ in dtypes.most_common())}, {_size(stored)}"
        )
        parameters, size = parameters + count, size + stored
    lines.append(f"total: {_count(parameters)} parameters, {_size(size)}")
    return "\n".join([*lines, *_facts(model)])


def _facts(model: Model) -> list[str]:
    """How the model is run and where it came from, one fact a line."""
    lines = [f"computes in: {model.dtype}; offload: {model.offload}", *_read_as(model)]
    source, licence = model.source or str(model.path), model.licence or "unknown"
    facts = {"source": source, "revision": model.revision, "licence": licence}
    lines += [f"{word}: {value}" for word, value in facts.items() if value]
    lines += [f"{part.name} from: {part.path.name}" for part in model.parts]
    return lines + [f"LoRA: {lora.path.name} at strength {lora.strength:g}{_blocks(lora)}" for lora in model.loras]


def _blocks(lora: Lora) -> str:
    """The factors by block as Load LoRA takes them."""
    return f" ({', '.join(f'{block}: {factor:g}' for block, factor in lora.blocks)})" if lora.blocks else ""


def _read_as(model: Model) -> list[str]:
    """The family of a single file, and whether its name had to tell it."""
    if not model.single_file:
        return []
    family = family_of(model)
    by_name = any(family in (row for _, row in rows) for rows in NAMED.values())
    return [f"read as: {family.name}", *(["this is by the file's name: its tensors do not tell it"] if by_name else [])]


def _count(number: int) -> str:
    for step, unit in ((10**9, "billion"), (10**6, "million"), (10**3, "thousand")):
        if number >= step:
            return f"{number / step:.3g} {unit}"
    return str(number)


def _size(number: int) -> str:
    for step, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if number >= step:
            return f"{number / step:.3g} {unit}"
    return f"{number} bytes"
