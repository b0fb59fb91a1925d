"""The autoencoders of video families at published size, each in diffusers' layout and in the one that the host reads.

The host names its tensors itself (it is shown the one or two by which it recognises the family); diffusers' converter of
that layout, or the rules here where it has none, says which of its own tensors belongs under each name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from pipelines.payloads import Model

from .models import filled

Rule = tuple[str, str | Callable[[re.Match[str]], str]]
Names = Callable[[Iterable[str]], dict[str, list[str]]]  # of each tensor of the host: diffusers' tensors, joined


class Row(NamedTuple):
    """vae: its diffusers class. pipeline: the class that decodes with it. shape: of a LATENT.

    marks: tensors by which the host knows the family; empty when it reads diffusers' own file.
    names: which tensors of diffusers lie under the host's names. scheduler: what the pipeline needs of one.
    """

    vae: str
    pipeline: str
    shape: tuple[int, ...]
    marks: dict[str, tuple[int, ...]]
    names: Names
    scheduler: str = "FlowMatchEulerDiscreteScheduler"


def _without_mask(patch: pytest.MonkeyPatch) -> None:
    from diffusers.models.autoencoders import autoencoder_kl_hunyuan_video as module

    def everything(frames: int, cells: int, dtype: torch.dtype, device: Any, batch_size: Any = None) -> torch.Tensor:
        return torch.zeros(batch_size, frames * cells, frames * cells, dtype=dtype, device=device)

    patch.setattr(module, "prepare_causal_attention_mask", everything)


def _frames_dropped_early(patch: pytest.MonkeyPatch) -> None:
    from diffusers.models import attention_processor
    from diffusers.models.autoencoders import autoencoder_kl_mochi as module

    up, decode, attend = (
        module.MochiUpBlock3D.forward, module.AutoencoderKLMochi.decode, module.MochiVaeAttnProcessor2_0.__call__
    )  # fmt: skip

    def forward(self: Any, *args: Any, **options: Any) -> Any:
        frames, cache = up(self, *args, **options)
        return frames[:, :, self.temporal_expansion - 1 :], cache

    def whole(self: Any, *args: Any, **options: Any) -> Any:
        self.drop_last_temporal_frames = False
        return decode(self, *args, **options)

    def both_ways(self: Any, attn: Any, *args: Any, **options: Any) -> Any:
        attn.is_causal = False
        return attend(self, attn, *args, **options)

    patch.setattr(module.MochiUpBlock3D, "forward", forward)
    patch.setattr(module.AutoencoderKLMochi, "decode", whole)
    patch.setattr(attention_processor.MochiVaeAttnProcessor2_0, "__call__", both_ways)


def _mirrored_edges(patch: pytest.MonkeyPatch) -> None:
    from diffusers import AutoencoderKLLTXVideo

    decode = AutoencoderKLLTXVideo.decode

    def mirrored(self: Any, *args: Any, **options: Any) -> Any:
        for module in self.decoder.modules():
            if isinstance(module, torch.nn.Conv3d):
                module.padding_mode = "reflect"
        return decode(self, *args, **options)

    patch.setattr(AutoencoderKLLTXVideo, "decode", mirrored)


# Where the host's own autoencoder computes otherwise than diffusers' (which follows the published code): laid over
# diffusers', it must agree to the last digits, so that this and nothing else is the difference.
HOSTS_WAY: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "hunyuan-video": _without_mask,  # its attention looks at later frames too
    "mochi": _frames_dropped_early,  # in each doubling, not at the end; its encoder's attention looks ahead
    "ltx": _mirrored_edges,  # its decoder mirrors the edges of a file that does not say "zeros"
}


def _by_converter(convert: str, prefix: str = "") -> Names:
    """Let diffusers' converter carry the names themselves through."""

    def names(hosts: Iterable[str]) -> dict[str, list[str]]:
        from diffusers.loaders import single_file_utils

        hosts = list(hosts)
        given = {prefix + name: _Name(name) for name in hosts}
        converted = getattr(single_file_utils, convert)(given)
        return {value.host: [key] for key, value in converted.items()}

    return names


class _Name:
    """A tensor's name in the place of the tensor; its shape is asked for to tell the versions of a family apart."""

    shape = (0, 0)

    def __init__(self, host: str) -> None:
        self.host = host


def _by_rules(*rules: Rule) -> Names:
    def names(hosts: Iterable[str]) -> dict[str, list[str]]:
        found = {}
        for host in hosts:
            name = host
            for pattern, new in rules:
                name = re.sub(pattern, new, name)
            found[host] = [name.replace("qkv", f"to_{part}") for part in "qkv"] if "qkv" in name else [name]
        return found

    return names


COSMOS = _by_rules(
    (r"^(en|de)coder\.(down|up)\.(\d)", lambda m: f"{m[1]}coder.{m[2]}_blocks.{_turned(m[2], int(m[3]))}"),
    (r"\.block\.", ".resnets."),
    (r"\.(down|up)sample\.", r".\1samplers.0."),
    (r"mid\.block_1", "mid_block.resnets.0"),
    (r"mid\.block_2", "mid_block.resnets.1"),
    (r"mid\.attn_1\.0", "mid_block.attentions.0"),
    (r"mid\.attn_1\.1", "mid_block.temp_attentions.0"),
    (r"\.([qkv])\.conv3d", r".to_\1"),
    (r"\.proj_out\.conv3d", ".to_out.0"),
    (r"\.0\.conv3d", ".conv_s"),
    (r"\.1\.conv3d", ".conv_t"),
    (r"nin_shortcut", "conv_shortcut"),
    (r"\.conv3d", ""),
)
MOCHI = _by_rules(
    (r"^decoder\.blocks\.0\.0\.", "decoder.conv_in."),
    (r"^decoder\.blocks\.0\.(\d)\.", lambda m: f"decoder.block_in.resnets.{int(m[1]) - 1}."),
    (r"^decoder\.blocks\.4\.(\d)\.", r"decoder.block_out.resnets.\1."),
    (r"^decoder\.blocks\.(\d)\.", lambda m: f"decoder.up_blocks.{int(m[1]) - 1}."),
    (r"up_blocks\.(\d)\.blocks\.", r"up_blocks.\1.resnets."),
    (r"^encoder\.layers\.0\.", "encoder.proj_in."),
    (r"^encoder\.layers\.([123])\.", lambda m: f"encoder.block_in.resnets.{int(m[1]) - 1}."),
    (r"^encoder\.layers\.([456])\.layers\.0\.", lambda m: f"encoder.down_blocks.{int(m[1]) - 4}.conv_in.conv."),
    (
        r"^encoder\.layers\.([456])\.layers\.(\d)\.",
        lambda m: f"encoder.down_blocks.{int(m[1]) - 4}.resnets.{int(m[2]) - 1}.",
    ),
    (r"^encoder\.layers\.([789])\.", lambda m: f"encoder.block_out.resnets.{int(m[1]) - 7}."),
    (r"resnets\.(\d)\.attn_block\.norm\.", r"norms.\1.norm_layer."),
    (r"resnets\.(\d)\.attn_block\.attn\.out\.", r"attentions.\1.to_out.0."),
    (r"resnets\.(\d)\.attn_block\.attn\.", r"attentions.\1."),
    (r"stack\.0\.", "norm1.norm_layer."),
    (r"stack\.2\.", "conv1.conv."),
    (r"stack\.3\.", "norm2.norm_layer."),
    (r"stack\.5\.", "conv2.conv."),
    (r"output_norm\.", "norm_out.norm_layer."),
    (r"output_proj\.", "proj_out."),
)


def _turned(way: str, block: int) -> int:
    return block if way == "down" else 2 - block


WAN_MARKS = {"decoder.middle.0.residual.0.gamma": (384, 1, 1, 1), "decoder.head.0.gamma": (96, 1, 1, 1)}
WAN_NAMES = _by_converter("convert_wan_vae_to_diffusers")
ROWS = {
    "wan": Row("AutoencoderKLWan", "WanPipeline", (1, 16, 2, 2, 2), WAN_MARKS, WAN_NAMES),
    "qwen-image": Row("AutoencoderKLQwenImage", "QwenImagePipeline", (1, 16, 1, 2, 2), WAN_MARKS, WAN_NAMES),
    "hunyuan-video": Row("AutoencoderKLHunyuanVideo", "HunyuanVideoPipeline", (1, 16, 2, 2, 2), {}, _by_rules()),
    "mochi": Row(
        "AutoencoderKLMochi", "MochiPipeline", (1, 12, 2, 2, 2),
        {"decoder.blocks.2.blocks.3.stack.5.weight": (512, 512, 3, 3, 3)}, MOCHI,
    ),
    "ltx": Row(
        "AutoencoderKLLTXVideo", "LTXPipeline", (1, 128, 2, 2, 2),
        {"decoder.up_blocks.0.res_blocks.0.conv1.conv.weight": (512, 512, 3, 3, 3)},
        _by_converter("convert_ltx_vae_checkpoint_to_diffusers", "vae."),
    ),
    "cosmos": Row(
        "AutoencoderKLCosmos", "CosmosTextToWorldPipeline", (1, 16, 2, 2, 2),
        {"decoder.unpatcher3d.wavelets": (2,)}, COSMOS, "EDMEulerScheduler",
    ),
}  # fmt: skip


@torch.no_grad()
def published(family: str) -> Any:
    """The family's autoencoder at its published size, random; pictures of it stay inside 0..1."""
    import diffusers

    vae = filled(getattr(diffusers, ROWS[family].vae))
    for weight in getattr(vae.decoder, "proj_out" if family == "mochi" else "conv_out").parameters():
        weight.mul_(0.3)
    if family == "ltx":
        vae.latents_mean.copy_(torch.linspace(-0.5, 0.5, 128))
        vae.latents_std.copy_(torch.linspace(0.5, 1.5, 128))
    return vae


def with_published_vae(family: str, folder: Path) -> Model:
    """A diffusers folder that has nothing but the autoencoder and a scheduler: what decoding needs."""
    import diffusers

    row, index = ROWS[family], {"_class_name": ROWS[family].pipeline, "_diffusers_version": diffusers.__version__}
    parts = {"vae": published(family), "scheduler": getattr(diffusers, row.scheduler)()}
    for name, part in parts.items():
        part.save_pretrained(folder / name)
        index[name] = ["diffusers", type(part).__name__]  # type: ignore[assignment]
    (folder / "model_index.json").write_text(json.dumps(index), "utf-8")
    return Model(path=folder, config=folder, pipeline_class=row.pipeline, dtype="float32", offload="stage")


def host_file(family: str, model: Model, shapes: dict[str, tuple[int, ...]]) -> Path:
    """Write the model's autoencoder under the host's names; `shapes`: its tensors as the host has them."""
    from safetensors.torch import load_file, save_file

    path = model.path / "vae" / "diffusion_pytorch_model.safetensors"
    if not ROWS[family].marks:
        return path
    own, taken = load_file(path), set()
    state, names = {}, ROWS[family].names(shapes)
    for host, shape in shapes.items():
        wanted = names.get(host, [])
        if all(name in own for name in wanted) and wanted:
            taken.update(wanted)
            state[host] = torch.cat([own[name] for name in wanted]).reshape(shape)
        else:
            state[host] = _statistics(family, host, shape)
    assert taken == set(own), f"no name in the host's layout: {sorted(set(own) - taken)[:5]}"
    for mark, shape in ROWS[family].marks.items():
        state.setdefault(mark, torch.zeros(shape))
    save_file(state, path.with_name("host.safetensors"))
    return path.with_name("host.safetensors")


def _statistics(family: str, host: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Tensors that only the host's files have; diffusers has Cosmos's means and deviations in the config."""
    from diffusers import AutoencoderKLCosmos

    if family == "cosmos" and host in ("latent_mean", "latent_std"):
        import inspect

        default = inspect.signature(AutoencoderKLCosmos.__init__).parameters[f"latents_{host[7:]}"].default
        return torch.tensor(default)
    assert "per_channel_statistics." in host, f"{host} has no counterpart"
    return torch.zeros(shape)
