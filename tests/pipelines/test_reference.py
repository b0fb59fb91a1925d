"""References (IP-Adapters): staged they equal diffusers' own call bit for bit, and leave the model as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pipelines import stages
from pipelines.errors import AigcError
from pipelines.loading import vision
from pipelines.payloads import Control

from . import controls, staged, tiny
from .controls import CASES, CPU, OTHER, PICTURE

NAMES = ("sd15", "sdxl", "flux", "sd3")
# The released SD 3 adapter's names of what diffusers calls otherwise.
SD3_LAYERS = {
    "ln0": "0.norm1", "ln1": "0.norm2", "attn.to_q": "0.to_q", "attn.to_kv": "0.to_kv", "attn.to_out.0": "0.to_out",
    "adaln_norm": "1.0", "ff.net.0.proj": "1.1", "ff.net.2": "1.3", "adaln_proj": "2.1",
}  # fmt: skip


def image_encoder(folder: Path) -> Path:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(3)
    CLIPVisionModelWithProjection(CLIPVisionConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2, image_size=16, patch_size=8,
        projection_dim=12,
    )).save_pretrained(folder)  # fmt: skip
    return folder


def siglip_encoder(folder: Path) -> Path:
    from transformers import SiglipVisionConfig, SiglipVisionModel

    torch.manual_seed(3)
    SiglipVisionModel(SiglipVisionConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2, image_size=16, patch_size=8,
    )).save_pretrained(folder)  # fmt: skip
    return folder


def _linear(out: int, size: int, name: str) -> dict[str, torch.Tensor]:
    return {f"{name}.weight": torch.randn(out, size) * 0.3, f"{name}.bias": torch.randn(out) * 0.1}


def _projection(width: int, tokens: int, pictures: int) -> dict[str, torch.Tensor]:
    norm = {"image_proj.norm.weight": torch.ones(width), "image_proj.norm.bias": torch.zeros(width)}
    return {**_linear(width * tokens, pictures, "image_proj.proj"), **norm}


def _sd3(transformer: Any) -> dict[str, torch.Tensor]:
    """An adapter that looks through SigLIP and knows the time, as InstantX's for SD 3.5."""
    from diffusers.models.attention_processor import SD3IPAdapterJointAttnProcessor2_0
    from diffusers.models.embeddings import IPAdapterTimeImageProjection

    width, head = transformer.inner_dim, transformer.config.attention_head_dim
    seen = IPAdapterTimeImageProjection(
        embed_dim=16, output_dim=width, hidden_dim=64, heads=1, num_queries=4, timestep_in_dim=8
    )
    tensors = {}
    for key, value in seen.state_dict().items():
        for ours, theirs in SD3_LAYERS.items():
            key = key.replace(f".{ours}.", f".{theirs}.") if key.startswith("layers.") else key
        tensors[f"image_proj.{key}"] = value
    for number in range(len(transformer.attn_processors)):
        layer = SD3IPAdapterJointAttnProcessor2_0(width, width, head, timesteps_emb_dim=64)
        tensors |= {f"ip_adapter.{number}.{key}": value for key, value in layer.state_dict().items()}
    return tensors


def adapter(name: str, path: Path, seed: int = 4) -> Path:
    """An IP-Adapter for a tiny model, in the layout of the released files."""
    torch.manual_seed(seed)
    pipe = tiny.made(CASES[name].make)
    if name == "sd3":
        tensors = _sd3(pipe.transformer)
    elif name == "flux":
        width = pipe.transformer.config.joint_attention_dim
        tensors = _projection(width, 4, 12)
        for side in ("k", "v"):
            tensors.update(_linear(32, width, f"ip_adapter.0.to_{side}_ip"))
    else:
        width = pipe.unet.config.cross_attention_dim
        tensors, crossing = _projection(width, 4, 12), 0
        for key, module in pipe.unet.named_modules():
            if key.endswith("attn2"):
                for side in ("k", "v"):
                    size = module.to_q.weight.shape[0]
                    tensors[f"ip_adapter.{2 * crossing + 1}.to_{side}_ip.weight"] = torch.randn(size, width) * 0.3
                crossing += 1
    save_file(tensors, path)
    return path


RELEASED = controls.released  # an autouse fixture


@controls.homes_of
def homes(name: str, folder: Path) -> tuple[Path, Path, Path]:
    """A case's model, an adapter for it, and the image encoder that this looks through."""
    encoder = siglip_encoder if name == "sd3" else image_encoder
    model = tiny.saved(CASES[name].make, folder / "model")
    return model, adapter(name, folder / "ip.safetensors"), encoder(folder / "encoder")


def whole_call(folder: Path, encoder: Path, adapters: list[Path], strengths: list[float], pictures: list[Any]) -> Any:
    """What diffusers' own call with these adapters makes, as [B, C, H, W] in 0..1."""
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionModelWithProjection,
        SiglipImageProcessor,
        SiglipVisionModel,
    )

    pipe = staged.load_whole(folder)
    if type(pipe).__name__ == "StableDiffusion3Pipeline":  # takes one adapter only
        net, shows = SiglipVisionModel.from_pretrained(encoder), SiglipImageProcessor(size={"height": 16, "width": 16})
        pipe.register_modules(image_encoder=net, feature_extractor=shows)
        pipe.load_ip_adapter(str(adapters[0].parent), weight_name=adapters[0].name)
        pipe.set_ip_adapter_scale(strengths[0])
    else:
        net = CLIPVisionModelWithProjection.from_pretrained(encoder)
        pipe.register_modules(image_encoder=net, feature_extractor=CLIPImageProcessor(size=16, crop_size=16))
        pipe.load_ip_adapter(
            [str(path.parent) for path in adapters], subfolder=[""] * len(adapters),
            weight_name=[path.name for path in adapters],
        )  # fmt: skip
        pipe.set_ip_adapter_scale(strengths)
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False)
    guided = {} if type(pipe).__name__ == "FluxPipeline" else {"negative_prompt": staged.NEGATIVE}
    return pipe(
        prompt=staged.PROMPT, num_inference_steps=3, generator=torch.Generator("cpu").manual_seed(42), **guided,
        output_type="pt", guidance_scale=5.0, **staged.SIZE,
        ip_adapter_image=pictures[0] if type(pipe).__name__ == "StableDiffusion3Pipeline" else pictures,
    )[0]  # fmt: skip


def referring(model, cond, path: Path, encoder: Path, image=PICTURE, **options):
    return stages.add_reference(model, cond, path, encoder, image, runtime=CPU, **options)


@pytest.mark.parametrize("name", NAMES)
def test_a_reference_equals_diffusers_own_call(name, homes):
    folder, path, encoder = homes(name)
    model = controls.opened(folder)
    plain = controls.conditioned(model)
    ours = controls.run(model, referring(model, plain, path, encoder, strength=0.7))
    assert torch.equal(ours, whole_call(folder, encoder, [path], [0.7], [controls.pil(PICTURE)]))
    assert not torch.equal(ours, controls.run(model, plain))


@pytest.mark.parametrize("name", ["sd15", "flux"])
def test_two_references_equal_diffusers_own_call(name, homes, tmp_path):
    folder, path, encoder = homes(name)
    second, model = adapter(name, tmp_path / "second.safetensors", seed=9), controls.opened(folder)
    cond = referring(model, controls.conditioned(model), path, encoder, strength=0.7)
    ours = controls.run(model, referring(model, cond, second, encoder, OTHER, strength=0.4))
    pictures = [controls.pil(PICTURE), controls.pil(OTHER)]
    assert torch.equal(ours, whole_call(folder, encoder, [path, second], [0.7, 0.4], pictures))


@pytest.mark.parametrize("name", NAMES)
def test_strength_0_is_off_and_a_reference_leaves_no_trace(name, homes):
    folder, path, encoder = homes(name)
    model = controls.opened(folder)
    plain = controls.conditioned(model)
    before = controls.run(model, plain)
    off = referring(model, plain, path, encoder, strength=0.0)
    assert torch.equal(controls.run(model, off), before)
    controls.run(model, referring(model, plain, path, encoder))
    assert plain.references == () and torch.equal(controls.run(model, plain), before)


def test_a_reference_works_beside_a_control_and_from_a_picture(homes, tmp_path):
    folder, path, encoder = homes("sd15")
    model, net = controls.opened(folder), controls.saved_net(CASES["sd15"], tmp_path / "net")
    start = stages.encode_image(model, OTHER[:, :32, :32], runtime=CPU)
    controlled = stages.add_control(controls.conditioned(model), Control(net, PICTURE))
    both = referring(model, controlled, path, encoder)
    pictures = [controls.run(model, cond, start, denoise=0.5) for cond in (controlled, both)]
    assert not torch.equal(*pictures)


@pytest.mark.parametrize("name", ["sdxl", "sd3"])
def test_a_batch_with_a_reference_equals_its_singles(name, homes):
    folder, path, encoder = homes(name)
    model = controls.opened(folder)
    cond = referring(model, controls.conditioned(model), path, encoder)
    batch = controls.run(model, cond, stages.empty_latents(model, **staged.SIZE, batch_size=2))
    for row in range(2):
        assert torch.allclose(batch[row], controls.run(model, cond, seed=42 + row)[0], atol=2e-5)


def test_an_image_encoder_in_one_file_equals_its_folder(homes, tmp_path):
    import diffusers

    _, _, encoder = homes("sd15")
    folder, _ = vision.load_encoder(encoder, diffusers.StableDiffusionPipeline, torch.float32)
    tensors = {key: value.clone() for key, value in folder.state_dict().items() if "position_ids" not in key}
    save_file(tensors, tmp_path / "clip.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(vision.HEADS, 16, 8)
        alone, _ = vision.load_encoder(tmp_path / "clip.safetensors", diffusers.StableDiffusionPipeline, torch.float32)
    wanted, ours = folder.config, alone.config
    for name in ("num_hidden_layers", "num_attention_heads", "patch_size", "image_size", "projection_dim"):
        assert getattr(ours, name) == getattr(wanted, name)
    assert all(torch.equal(alone.state_dict()[key], value) for key, value in tensors.items())


def test_what_is_no_reference_is_refused(homes, tmp_path):
    folder, path, encoder = homes("sd15")
    model = controls.opened(folder)
    plain = controls.conditioned(model)
    save_file({"x": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(AigcError, match="Expected an IP-Adapter in other"):
        referring(model, plain, tmp_path / "other.safetensors", encoder)
    with pytest.raises(AigcError, match="one picture, got 2"):
        referring(model, plain, path, encoder, torch.cat([PICTURE] * 2))
    with pytest.raises(AigcError, match="strength of 0 or more"):
        referring(model, plain, path, encoder, strength=-1.0)
    with pytest.raises(AigcError, match="CLIPVisionModelWithProjection"):
        referring(model, plain, path, folder / "text_encoder")
    xl = homes("sdxl")[1]
    with pytest.raises(AigcError, match="does not fit"):
        controls.run(model, referring(model, plain, xl, encoder))
    before = controls.run(model, plain)
    assert torch.equal(controls.run(model, plain), before)
