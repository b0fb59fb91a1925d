"""Tiny control nets and T2I-Adapters, and diffusers' own call with them, for the tests of controls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines import stages
from pipelines.loading import Roots, open_model
from pipelines.payloads import Conditioning, Control, Model
from pipelines.runtime import Runtime

from . import staged, tiny
from .test_other_families import qwenimage

PICTURE = torch.rand(1, 32, 32, 3, generator=torch.Generator().manual_seed(5))
OTHER = torch.rand(1, 40, 40, 3, generator=torch.Generator().manual_seed(6))
CPU = Runtime("cpu")
SDXL = {
    "cross_attention_dim": 2048, "attention_head_dim": (5, 10, 20), "use_linear_projection": True,
    "block_out_channels": (320, 640, 1280), "transformer_layers_per_block": (1, 2, 10),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "addition_embed_type": "text_time", "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
CROSS = {"down": ("CrossAttnDownBlock2D", "DownBlock2D"), "up": ("UpBlock2D", "CrossAttnUpBlock2D")}
UNET = {
    "block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4,
    "down_block_types": tiny.CLIP_BLOCKS["down"], "conditioning_embedding_out_channels": (4, 8),
}  # fmt: skip


def attentive_sd15() -> Any:
    """SD 1.5 with attention in its first block, as the released one has it: a T2I-Adapter adds to that block."""
    from diffusers import UNet2DConditionModel

    pipe = tiny.sd15()
    config = {**pipe.unet.config, "down_block_types": CROSS["down"], "up_block_types": CROSS["up"]}
    pipe.register_modules(unet=UNet2DConditionModel.from_config(config))
    return pipe


class Case(NamedTuple):
    """make: the model. net: class and config of its control net. sibling: diffusers' pipeline with both."""

    make: Any
    net: tuple[str, dict[str, Any]]
    sibling: str
    picture: str = "control_image"
    strength: str = "controlnet_conditioning_scale"
    guidance: str = "guidance_scale"


ADAPTER = ("T2IAdapter", {
    "in_channels": 3, "channels": [8, 16], "num_res_blocks": 1, "downscale_factor": 2, "adapter_type": "full_adapter",
})  # fmt: skip
CASES = {
    "sd15": Case(
        tiny.sd15, ("ControlNetModel", {**UNET, "cross_attention_dim": 32, "attention_head_dim": 4}),
        "StableDiffusionControlNetPipeline", "image",
    ),
    "sdxl": Case(
        tiny.sdxl,
        ("ControlNetModel", {
            **UNET, "cross_attention_dim": 64, "attention_head_dim": (2, 4), "use_linear_projection": True,
            "addition_embed_type": "text_time", "addition_time_embed_dim": 8, "transformer_layers_per_block": (1, 2),
            "projection_class_embeddings_input_dim": 32 + 6 * 8,
        }),
        "StableDiffusionXLControlNetPipeline", "image",
    ),
    "sd3": Case(
        tiny.sd3,
        ("SD3ControlNetModel", {
            "sample_size": 16, "patch_size": 1, "in_channels": 4, "num_layers": 1, "attention_head_dim": 8,
            "num_attention_heads": 4, "joint_attention_dim": 32, "caption_projection_dim": 32,
            "pooled_projection_dim": 64, "out_channels": 4,
        }),
        "StableDiffusion3ControlNetPipeline",
    ),
    "flux": Case(
        tiny.flux,
        ("FluxControlNetModel", {
            "patch_size": 1, "in_channels": 16, "num_layers": 1, "num_single_layers": 1, "attention_head_dim": 16,
            "num_attention_heads": 2, "joint_attention_dim": 32, "pooled_projection_dim": 32,
            "axes_dims_rope": (4, 4, 8), "guidance_embeds": True,
        }),
        "FluxControlNetPipeline",
    ),
    "qwenimage": Case(
        qwenimage,
        ("QwenImageControlNetModel", {
            "in_channels": 16, "out_channels": 4, "num_layers": 1, "attention_head_dim": 16, "num_attention_heads": 2,
            "joint_attention_dim": 16, "axes_dims_rope": (8, 4, 4),
        }),
        "QwenImageControlNetPipeline", guidance="true_cfg_scale",
    ),
    "sdxl-union": Case(
        tiny.sdxl,
        ("ControlNetUnionModel", {
            **UNET, "cross_attention_dim": 64, "attention_head_dim": (2, 4), "use_linear_projection": True,
            "addition_embed_type": "text_time", "addition_time_embed_dim": 8, "transformer_layers_per_block": (1, 2),
            "projection_class_embeddings_input_dim": 32 + 6 * 8, "num_control_type": 3, "num_trans_channel": 8,
            "num_trans_head": 2, "num_proj_channel": 8,
        }),
        "StableDiffusionXLControlNetUnionPipeline",
    ),
    "flux-union": Case(
        tiny.flux,
        ("FluxControlNetModel", {
            "patch_size": 1, "in_channels": 16, "num_layers": 1, "num_single_layers": 1, "attention_head_dim": 16,
            "num_attention_heads": 2, "joint_attention_dim": 32, "pooled_projection_dim": 32,
            "axes_dims_rope": (4, 4, 8), "guidance_embeds": True, "num_mode": 3,
        }),
        "FluxControlNetPipeline",
    ),
    "t2i-sd15": Case(attentive_sd15, ADAPTER, "StableDiffusionAdapterPipeline", "image", "adapter_conditioning_scale"),
    "t2i-sdxl": Case(
        tiny.sdxl, ("T2IAdapter", {**ADAPTER[1], "downscale_factor": 4, "adapter_type": "full_adapter_xl"}),
        "StableDiffusionXLAdapterPipeline", "image", "adapter_conditioning_scale",
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def released() -> Iterator[None]:
    """Nothing stays open from one test to the next."""
    yield
    stages.release_all()


def homes_of(make: Callable[[str, Path], tuple[Any, ...]]) -> Any:
    """A fixture: what `make` makes of a case's name in a folder, each once a module."""

    @pytest.fixture(scope="module")
    def homes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, ...]]:
        return cache(lambda name: make(name, tmp_path_factory.mktemp(name)))

    return homes


def made_net(case: Case, seed: int = 1) -> Any:
    """A control net whose layers all act: they begin as zeros, which would change nothing."""
    import diffusers

    name, config = case.net
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = getattr(diffusers, name)(**config)
        for value in net.parameters():
            if not value.any():
                torch.nn.init.normal_(value, std=0.2)
    return net.eval()


def saved_net(case: Case, folder: Path, seed: int = 1) -> Path:
    made_net(case, seed).save_pretrained(folder)
    return folder


def opened(folder: Path) -> Model:
    return open_model(str(folder), roots=Roots(), dtype="float32", offload="keep")


def conditioned(model: Model, *controls: Control, prompts: tuple[str, ...] = (staged.PROMPT,)) -> Conditioning:
    cond = stages.encode_prompt(model, prompts, [staged.NEGATIVE], runtime=CPU)
    for control in controls:
        cond = stages.add_control(cond, control)
    return cond


def run(model: Model, cond: Conditioning, latents: Any = None, **options: Any) -> torch.Tensor:
    """Our stages' picture, as [B, C, H, W] in 0..1."""
    latents = latents or stages.empty_latents(model, **staged.SIZE)
    options = {"seed": 42, "steps": 3, "cfg": 5.0, **options}
    out = stages.sample(model, cond, latents, runtime=CPU, **options)
    return stages.decode_image(model, out, runtime=CPU).permute(0, 3, 1, 2)


def pil(picture: torch.Tensor) -> Image.Image:
    return Image.fromarray((picture[0] * 255).round().byte().numpy())


def whole_call(folder: Path, case: Case, *controls: Control) -> torch.Tensor:
    """What diffusers' own pipeline with these control nets makes, as [B, C, H, W] in 0..1."""
    import diffusers

    nets = [getattr(diffusers, case.net[0]).from_pretrained(control.path) for control in controls]

    cls = getattr(diffusers, case.sibling)
    base = staged.load_whole(folder)
    takes, options = cls._get_signature_keys(cls)
    parts = {k: v for k, v in base.components.items() if k in takes}
    part = "adapter" if "adapter" in takes else "controlnet"
    extra = {"requires_safety_checker": False} if "requires_safety_checker" in options else {}
    single = len(nets) == 1
    joined = nets[0] if single else nets if case.net[0] != "QwenImageControlNetModel" else multi_qwen(nets)
    pipe = cls(**parts, **{part: joined}, **extra)
    pipe.set_progress_bar_config(disable=True)
    for module in [*pipe.components.values(), *nets]:
        if isinstance(module, torch.nn.Module):
            module.requires_grad_(False)
    pictures, strengths = [pil(c.image) for c in controls], [c.strength for c in controls]
    call: dict[str, Any] = {
        case.picture: pictures[0] if single else pictures,
        case.strength: strengths[0] if single else strengths,
        case.guidance: 5.0,
    }
    if part == "controlnet":
        starts, ends = [c.start for c in controls], [c.end for c in controls]
        call["control_guidance_start"] = starts[0] if single else starts
        call["control_guidance_end"] = ends[0] if single else ends
    if any(c.mode >= 0 for c in controls):
        call["control_mode"] = controls[0].mode if single else [c.mode for c in controls]
    if case.make is not tiny.flux:  # guided by its embedded guidance alone
        call["negative_prompt"] = staged.NEGATIVE
    torch.manual_seed(42)  # some of diffusers' own calls draw from torch's global generator
    out = pipe(
        prompt=staged.PROMPT, num_inference_steps=3, generator=torch.Generator("cpu").manual_seed(42),
        output_type="pt", **staged.SIZE, **call,
    )[0]  # fmt: skip
    return torch.from_numpy(out).permute(0, 3, 1, 2) if isinstance(out, np.ndarray) else out


def multi_qwen(nets: list[Any]) -> Any:
    from diffusers.models.controlnets.controlnet_qwenimage import QwenImageMultiControlNetModel

    return QwenImageMultiControlNetModel(nets[:1])
