"""A trained LoRA as one file that diffusers and ComfyUI's own loader read, each in its words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import AigcError
from ..loading.lora import read_lora

State = Mapping[str, torch.Tensor]  # "<layer>.lora_A.weight" [rank, in], "<layer>.lora_B.weight" [out, rank]

# The layers of Wan in its original layout, which the host keeps.
WAN = (
    (".attn1.to_out.0.", ".self_attn.o."), (".attn2.to_out.0.", ".cross_attn.o."),
    (".attn1.to_", ".self_attn."), (".attn2.to_", ".cross_attn."),
    (".ffn.net.0.proj.", ".ffn.0."), (".ffn.net.2.", ".ffn.2."),
)  # fmt: skip


def kohya(state: State, part: str) -> dict[str, torch.Tensor]:
    """lora_unet_<layer with underscores>.lora_down.weight: UNets, in the host and in diffusers."""
    out = {}
    for key, value in state.items():
        layer, _, end = key.rpartition(".lora_")
        name = f"lora_unet_{layer.replace('.', '_')}"
        out[f"{name}.lora_{'down' if end == 'A.weight' else 'up'}.weight"] = value
        if end == "A.weight":
            out[f"{name}.alpha"] = torch.tensor(float(value.shape[0]))
    return out


def original_wan(state: State, part: str) -> dict[str, torch.Tensor]:
    out = {}
    for key, value in state.items():
        for old, new in WAN:
            key = key.replace(old, new)
        out[f"diffusion_model.{key}"] = value
    return out


def plain(state: State, part: str) -> dict[str, torch.Tensor]:
    """<part>.<layer>.lora_A.weight: diffusers, and the host for SD 3, FLUX and Qwen-Image."""
    return {f"{part}.{key}": value for key, value in state.items()}


Layout = Callable[[State, str], dict[str, torch.Tensor]]
LAYOUTS: tuple[tuple[str, str, Layout], ...] = (  # for a part, of a pipeline whose name begins so
    ("unet", "", kohya),
    ("transformer", "Wan", original_wan),
    ("", "", plain),
)


def save(path: Path, state: State, pipe: Any, part: str, facts: Mapping[str, Any]) -> str:
    """Write the file in the first layout that diffusers reads back to the bit; returns the layout's name.

    pipe: the pipeline, of stubs if need be. Raises AigcError when there is none, or it cannot be written.
    """
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.stem}.part.safetensors")
    state = {key: value.contiguous() for key, value in state.items()}
    wanted = plain(state, part)
    try:
        for name, begins, layout in LAYOUTS:
            if name not in ("", part) or not type(pipe).__name__.startswith(begins):
                continue
            save_file(layout(state, part), str(draft), metadata={"aigc_lora": json.dumps(facts)})
            if _reads(pipe, draft, wanted):
                draft.replace(path)
                return layout.__name__
    except OSError as error:
        raise AigcError(f"Expected to write {path}, but {error}: make room, then run it again.") from error
    finally:
        draft.unlink(missing_ok=True)
    raise AigcError(
        f"Expected a layout in which {type(pipe).__name__} reads this LoRA, got none: choose other targets; the training is kept."
    )


def _reads(pipe: Any, path: Path, wanted: State) -> bool:
    try:
        found = read_lora(pipe, path)
    except AigcError:
        return False
    return found.keys() == wanted.keys() and all(torch.equal(found[key].float(), wanted[key]) for key in wanted)
