"""LoRAs: what they compute, that they leave no trace, and that a file which does not fit is refused whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from pipelines.errors import AigcError
from pipelines.loading import (
    Roots,
    apply_loras,
    component_classes,
    empty_parts,
    is_stub,
    list_loras,
    load_part,
    open_lora,
    open_model,
    pipeline_class,
    pipeline_settings,
    remove_loras,
    stub_part,
)
from pipelines.payloads import Model

RANK = 2
LAYER = {"sd15": "unet", "sdxl": "unet", "flux": "transformer", "wan": "transformer"}
SD15_NAMES = {"unet_": "lora_unet_", "text_encoder_": "lora_te_text_model_"}
SDXL_NAMES = {
    "unet_": "lora_unet_", "text_encoder_2_": "lora_te2_text_model_", "text_encoder_": "lora_te1_text_model_",
    "down_blocks_1_attentions_0": "input_blocks_3_1", "mid_block_attentions_0": "middle_block_1",
    "up_blocks_0_attentions_0": "output_blocks_0_1", "up_blocks_0_attentions_1": "output_blocks_1_1",
}  # fmt: skip
TEXT = {"sd15": ("text_encoder",), "sdxl": ("text_encoder", "text_encoder_2"), "flux": (), "wan": ()}


def opened(folder: Path) -> Model:
    return open_model(str(folder), roots=Roots())


def assembled(model: Model, real: Callable[[str], bool], absent: Callable[[str], bool] = lambda name: False) -> Any:
    """A pipeline whose parts are real, absent or stubs, as a stage would build it."""
    parts: dict[str, Any] = dict.fromkeys(empty_parts(model))
    for name in component_classes(model):
        if absent(name):
            parts[name] = None
        elif real(name):
            parts[name] = load_part(model, name, dtype=torch.float32)
        else:
            parts[name] = stub_part(model, name, device="cpu", dtype=torch.float32)
    return pipeline_class(model)(**parts, **pipeline_settings(model))


def whole(model: Model) -> Any:
    return assembled(model, real=lambda name: True)


def lora_tensors(folder: Path, family: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """A LoRA on the attention queries and keys of the denoiser and of the CLIP encoders, by diffusers' names."""
    pipe, generator, found = whole(opened(folder)), torch.Generator().manual_seed(seed), {}
    for part in (LAYER[family], *TEXT[family]):
        for name, module in getattr(pipe, part).named_modules():
            if isinstance(module, nn.Linear) and name.endswith(("to_q", "to_k", "self_attn.q_proj")):
                rows, columns = module.weight.shape
                found[f"{part}.{name}.lora_A.weight"] = torch.randn(RANK, columns, generator=generator) / 3
                found[f"{part}.{name}.lora_B.weight"] = torch.randn(rows, RANK, generator=generator) / 3
    return found


def kohya(
    tensors: dict[str, torch.Tensor], alpha: float, names: dict[str, str] = SD15_NAMES
) -> dict[str, torch.Tensor]:
    """The same LoRA as kohya's trainer writes it; `names` renames parts and blocks."""
    found = {}
    for key, value in tensors.items():
        layer, half = key.removesuffix(".weight").rsplit(".", 1)
        name = layer.replace(".text_model.", ".").replace(".", "_")
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        found[f"{name}.{'lora_down' if half == 'lora_A' else 'lora_up'}.weight"] = value
        found[f"{name}.alpha"] = torch.tensor(alpha)
    return found


def written(tensors: dict[str, torch.Tensor], path: Path) -> Path:
    save_file({key: value.contiguous() for key, value in tensors.items()}, path)
    return path


def with_file(model: Model, path: Path, strength: float = 1.0) -> Model:
    return model.with_lora(open_lora(str(path), roots=Roots(), strength=strength))


def state(pipe: Any) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": value.clone()
        for name, part in pipe.components.items()
        if isinstance(part, nn.Module) and not is_stub(part)
        for key, value in part.state_dict().items()
    }


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(value, right[key]) for key, value in left.items())


def unet_output(pipe: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    sample, text = torch.randn(1, 4, 16, 16, generator=generator), torch.randn(1, 7, 32, generator=generator)
    with torch.no_grad():
        return pipe.unet(sample, 500, encoder_hidden_states=text).sample


def text_output(pipe: Any, name: str = "text_encoder") -> torch.Tensor:
    with torch.no_grad():
        return getattr(pipe, name)(torch.arange(77)[None] % 40).last_hidden_state


def merged(pipe: Any, tensors: dict[str, torch.Tensor], scale: float) -> Any:
    """The pipeline with the LoRA added into its weights by hand: W + scale * B A."""
    for key, down in tensors.items():
        if key.endswith(".lora_A.weight"):
            module = pipe
            for name in key.removesuffix(".lora_A.weight").split("."):
                module = getattr(module, name)
            with torch.no_grad():
                module.weight.copy_(module.weight + scale * tensors[key.replace("lora_A", "lora_B")] @ down)
    return pipe


@pytest.fixture(scope="module")
def sd15(tiny_model, tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, dict[str, torch.Tensor], Path]:
    tensors = lora_tensors(tiny_model("sd15"), "sd15")
    return opened(tiny_model("sd15")), tensors, written(tensors, tmp_path_factory.mktemp("lora") / "a.safetensors")


@pytest.mark.parametrize("strength", [1.0, 0.3, -2.0])
def test_a_lora_adds_its_product_to_the_weights_by_its_strength(sd15, strength: float):
    model, tensors, path = sd15
    expected, pipe = merged(whole(model), tensors, strength), whole(model)
    apply_loras(pipe, with_file(model, path, strength))
    assert torch.allclose(unet_output(pipe), unet_output(expected), atol=1e-4, rtol=1e-4)
    assert torch.allclose(text_output(pipe), text_output(expected), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(unet_output(pipe), unet_output(whole(model)), atol=1e-3)


def test_kohyas_layout_computes_the_same_with_its_alpha(sd15, tmp_path: Path):
    model, tensors, _ = sd15
    path = written(kohya(tensors, alpha=RANK / 2), tmp_path / "kohya.safetensors")
    expected, pipe = merged(whole(model), tensors, 0.5), whole(model)
    apply_loras(pipe, with_file(model, path))
    assert torch.allclose(unet_output(pipe), unet_output(expected), atol=1e-4, rtol=1e-4)
    assert torch.allclose(text_output(pipe), text_output(expected), atol=1e-4, rtol=1e-4)


def test_kohyas_sdxl_names_reach_all_three_parts(tiny_model, tmp_path: Path):
    model, tensors = opened(tiny_model("sdxl")), lora_tensors(tiny_model("sdxl"), "sdxl")
    path = written(kohya(tensors, RANK / 2, SDXL_NAMES), tmp_path / "kohya.safetensors")
    expected, pipe = merged(whole(model), tensors, 0.5), whole(model)
    apply_loras(pipe, with_file(model, path))
    added = sum(key.endswith(".lora_A.aigc_0.weight") for key in state(pipe))
    assert added == len(tensors) // 2
    for name in TEXT["sdxl"]:
        assert torch.allclose(text_output(pipe, name), text_output(expected, name), atol=1e-4, rtol=1e-4)


def test_kohyas_alphas_may_differ_from_layer_to_layer(sd15, tmp_path: Path):
    model, tensors, _ = sd15
    layers = sorted({key.removesuffix(".lora_A.weight") for key in tensors if key.endswith(".lora_A.weight")})
    file, expected = {}, whole(model)
    for number, layer in enumerate(layers):
        own = {key: value for key, value in tensors.items() if key.startswith(f"{layer}.lora_")}
        alpha = (0.5, 1.0, 2.0)[number % 3]
        file |= kohya(own, alpha)
        merged(expected, own, alpha / RANK)
    pipe = whole(model)
    apply_loras(pipe, with_file(model, written(file, tmp_path / "kohya.safetensors")))
    assert torch.allclose(unet_output(pipe), unet_output(expected), atol=1e-4, rtol=1e-4)
    assert torch.allclose(text_output(pipe), text_output(expected), atol=1e-4, rtol=1e-4)


def test_pefts_alpha_in_the_files_metadata_counts(sd15, tmp_path: Path):
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    model, _, _ = sd15
    trained = whole(model)
    trained.unet.add_adapter(LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=["to_q"], init_lora_weights=False))
    layers = get_peft_model_state_dict(trained.unet)
    metadata = trained.unet.peft_config["default"].to_dict()
    type(trained).save_lora_weights(tmp_path, layers, unet_lora_adapter_metadata=metadata)
    pipe = whole(model)
    apply_loras(pipe, with_file(model, tmp_path / "pytorch_lora_weights.safetensors"))
    assert torch.equal(unet_output(pipe), unet_output(trained))


def test_two_loras_add_up(sd15, tiny_model, tmp_path: Path):
    model, first, path = sd15
    second = lora_tensors(tiny_model("sd15"), "sd15", seed=9)
    both = with_file(with_file(model, path, 0.5), written(second, tmp_path / "b.safetensors"), -0.25)
    expected, pipe = merged(merged(whole(model), first, 0.5), second, -0.25), whole(model)
    apply_loras(pipe, both)
    assert torch.allclose(unet_output(pipe), unet_output(expected), atol=1e-4, rtol=1e-4)


def test_strength_zero_is_exactly_off_and_touches_nothing(sd15):
    model, _, path = sd15
    pipe = whole(model)
    before, output = state(pipe), unet_output(pipe)
    apply_loras(pipe, with_file(model, path, 0.0))
    assert same(state(pipe), before) and torch.equal(unet_output(pipe), output)


@pytest.mark.parametrize("family", LAYER)
def test_removed_it_leaves_no_trace_in_either_stage(family: str, tiny_model, tmp_path: Path):
    folder = tiny_model(family)
    model = opened(folder)
    wired = with_file(model, written(lora_tensors(folder, family), tmp_path / "x.safetensors"))

    def denoiser(name: str) -> bool:
        return name == LAYER[family]

    def text(name: str) -> bool:
        return "text_encoder" in name or "tokenizer" in name

    stages = [assembled(model, denoiser, absent=text), assembled(model, text)]
    for pipe, changed in zip(stages, (True, bool(TEXT[family]))):
        before = state(pipe)
        apply_loras(pipe, wired)
        assert same(state(pipe), before) != changed
        remove_loras(pipe)
        assert same(state(pipe), before)
        assert not any(hasattr(part, "peft_config") for part in pipe.components.values())
        apply_loras(pipe, wired)  # and it goes on again
        remove_loras(pipe)
        assert same(state(pipe), before)


def test_removed_it_computes_bit_for_bit_as_before(sd15):
    model, _, path = sd15
    pipe = whole(model)
    output, text = unet_output(pipe), text_output(pipe)
    apply_loras(pipe, with_file(model, path))
    remove_loras(pipe)
    assert torch.equal(unet_output(pipe), output) and torch.equal(text_output(pipe), text)


@pytest.mark.parametrize(("family", "other"), [("sd15", "sdxl"), ("sdxl", "sd15"), ("flux", "sd15"), ("wan", "flux")])
def test_a_lora_of_another_family_is_refused_whole(family: str, other: str, tiny_model, tmp_path: Path):
    model = opened(tiny_model(family))
    path = written(lora_tensors(tiny_model(other), other), tmp_path / "other.safetensors")
    pipe = whole(model)
    before = state(pipe)
    with pytest.raises(AigcError, match=r"matched \d+ of \d+ keys.*Use a LoRA made for"):
        apply_loras(pipe, with_file(model, path))
    assert same(state(pipe), before)


def test_a_bad_shape_is_refused_and_a_good_lora_before_it_is_not_left_behind(sd15, tmp_path: Path):
    model, tensors, path = sd15
    wrong = dict(tensors)
    key = next(key for key in wrong if key.endswith("lora_A.weight"))
    wrong[key] = wrong[key][:, :-1]
    bad = written(wrong, tmp_path / "bad.safetensors")
    pipe = whole(model)
    before = state(pipe)
    with pytest.raises(AigcError, match=rf"matched {len(tensors) - 1} of {len(tensors)} keys"):
        apply_loras(pipe, with_file(with_file(model, path), bad))
    assert same(state(pipe), before)


@pytest.mark.parametrize("damage", ["missing half", "ranks that differ"])
def test_halves_that_do_not_belong_together_leave_nothing_behind(sd15, damage: str, tmp_path: Path):
    model, tensors, _ = sd15
    wrong = dict(tensors)
    key = next(key for key in wrong if key.endswith("lora_B.weight"))
    if damage == "missing half":
        del wrong[key]
    else:
        wrong[key] = wrong[key].repeat(1, 2)
    pipe = whole(model)
    before = state(pipe)
    with pytest.raises(AigcError, match="does not fit"):
        apply_loras(pipe, with_file(model, written(wrong, tmp_path / "half.safetensors")))
    assert same(state(pipe), before)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_refused_at_once(sd15, value: float, tmp_path: Path):
    _, tensors, _ = sd15
    wrong = {key: tensor.clone() for key, tensor in tensors.items()}
    next(iter(wrong.values()))[0, 0] = value
    with pytest.raises(AigcError, match="NaN or infinity"):
        open_lora(str(written(wrong, tmp_path / "nan.safetensors")), roots=Roots())


def test_a_checkpoint_is_not_taken_for_a_lora(tiny_model):
    weights = tiny_model("sd15") / "unet" / "diffusion_pytorch_model.safetensors"
    with pytest.raises(AigcError, match="Expected a LoRA"):
        open_lora(str(weights), roots=Roots())


def test_loras_are_listed_and_opened_by_name_only_below_their_folder(sd15, tmp_path: Path):
    _, tensors, _ = sd15
    (tmp_path / "loras" / "style").mkdir(parents=True)
    written(tensors, tmp_path / "loras" / "style" / "a.safetensors")
    written(tensors, tmp_path / "outside.safetensors")
    roots = Roots(loras=(tmp_path / "loras",))
    assert list_loras(roots) == ["style/a.safetensors"]
    assert open_lora("style/a.safetensors", roots=roots, strength=0.5).strength == 0.5
    assert load_file(open_lora("style/a.safetensors", roots=roots).path).keys() == tensors.keys()
    for name in ("../outside.safetensors", "style/../../outside.safetensors", "..\\outside.safetensors", "b"):
        with pytest.raises(AigcError):
            open_lora(name, roots=roots)


@pytest.mark.parametrize("strength", [math.nan, math.inf, "1"])
def test_a_strength_that_is_no_number_is_refused(sd15, strength: Any):
    with pytest.raises(AigcError, match="finite strength"):
        open_lora(str(sd15[2]), roots=Roots(), strength=strength)
