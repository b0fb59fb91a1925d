"""LoHa, LoKr and weights by block: each against the weights added up by hand, and off again without a trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pipelines.errors import AigcError
from pipelines.loading import Roots, apply_loras, open_lora, remove_loras
from pipelines.loading.lora_blocks import parse_blocks
from pipelines.payloads import Model

from .test_lora import lora_tensors, merged, opened, same, state, unet_output, whole, written

ALPHA, RANK = 1.5, 2
DRAW = torch.Generator()


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=DRAW) / 2


def cut(value: int) -> tuple[int, int]:
    """A number as a product of two, as LoKr cuts it."""
    return (2, value // 2) if value % 2 == 0 else (1, value)


def pieces(kind: str, shape: torch.Size) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """One layer's tensors in the layout of LyCORIS, and dW written out by its definition."""
    out, inner, kernel = shape[0], shape[1], shape[2:]
    wide = inner * kernel.numel()
    if kind == "loha":
        p = {
            f"hada_w{i}_{side}": draw(*size) for i in (1, 2) for side, size in (("a", (out, RANK)), ("b", (RANK, wide)))
        }
        return p, (p["hada_w1_a"] @ p["hada_w1_b"] * (p["hada_w2_a"] @ p["hada_w2_b"])).view(shape) * ALPHA / RANK
    if kind == "loha_tucker":
        p = {f"hada_w{i}_{side}": draw(RANK, size) for i in (1, 2) for side, size in (("a", out), ("b", inner))}
        p |= {f"hada_t{i}": draw(RANK, RANK, *kernel) for i in (1, 2)}
        both = [torch.einsum("ijkl,jr,ip->prkl", p[f"hada_t{i}"], p[f"hada_w{i}_b"], p[f"hada_w{i}_a"]) for i in (1, 2)]
        return p, both[0] * both[1] * ALPHA / RANK
    (o1, o2), (i1, i2) = cut(out), cut(inner)
    one = draw(o1, i1)
    if kind == "lokr":  # a whole matrix and a product
        p = {"lokr_w1": one, "lokr_w2_a": draw(o2, RANK), "lokr_w2_b": draw(RANK, i2 * kernel.numel())}
        two, scale = (p["lokr_w2_a"] @ p["lokr_w2_b"]).view(o2, i2, *kernel), ALPHA / RANK
    else:  # two whole ones: alpha has nothing to be divided by
        p = {"lokr_w1": one, "lokr_w2": draw(o2, i2, *kernel)}
        two, scale = p["lokr_w2"], 1.0
    return p, torch.kron(one.view(o1, i1, *[1] * len(kernel)), two).view(shape) * scale


def variant(pipe: Any, part: str, kind: str, name: str, ends: tuple[str, ...]) -> tuple[dict[str, torch.Tensor], Any]:
    """A file over some layers of `part`, and the pipeline with dW added by hand; name: "lora_unet_{flat}" and the like."""
    DRAW.manual_seed(1)
    found: dict[str, torch.Tensor] = {}
    for layer, module in getattr(pipe, part).named_modules():
        fits = isinstance(module, nn.Conv2d) if kind.endswith("tucker") else isinstance(module, nn.Conv2d | nn.Linear)
        if layer.endswith(ends) and fits:
            made, delta = pieces(kind, module.weight.shape)
            key = name.format(flat=layer.replace(".", "_"), layer=layer)
            found |= {f"{key}.{piece}": value for piece, value in made.items()} | {f"{key}.alpha": torch.tensor(ALPHA)}
            with torch.no_grad():
                module.weight.add_(delta)
    assert found
    return found, pipe


def laid(model: Model, path: Path, strength: float = 1.0, blocks: str = "") -> Any:
    pipe = whole(model)
    apply_loras(pipe, model.with_lora(open_lora(str(path), roots=Roots(), strength=strength, blocks=blocks)))
    return pipe


@pytest.mark.parametrize("name", ["lora_unet_{flat}", "lycoris_{flat}", "unet.{layer}"])
@pytest.mark.parametrize("kind", ["loha", "loha_tucker", "lokr", "lokr_whole"])
def test_a_loha_or_lokr_is_its_written_out_difference(tiny_model, tmp_path: Path, kind: str, name: str):
    model = opened(tiny_model("sd15"))
    tensors, expected = variant(whole(model), "unet", kind, name, ("to_q", "conv1", "proj_in"))
    path = written(tensors, tmp_path / "variant.safetensors")
    pipe = laid(model, path)
    assert torch.allclose(unet_output(pipe), unet_output(expected), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(unet_output(pipe), unet_output(whole(model)), atol=1e-2)
    before = state(whole(model))
    remove_loras(pipe)
    assert same(state(pipe), before)


@pytest.mark.parametrize("kind", ["loha", "lokr", "lokr_whole"])
@pytest.mark.parametrize("name", ["transformer.{layer}", "lycoris_{flat}"])
def test_a_transformer_takes_them_too(tiny_model, tmp_path: Path, kind: str, name: str):
    model = opened(tiny_model("flux"))
    tensors, expected = variant(whole(model), "transformer", kind, name, ("to_q", "ff.net.2"))
    pipe = laid(model, written(tensors, tmp_path / "variant.safetensors"))
    x, text = torch.randn(1, 8, 32), torch.randn(1, 5, 32)
    layer, other = (p.transformer.transformer_blocks[0].attn.to_q for p in (pipe, expected))
    assert torch.allclose(layer(x), other(x), atol=1e-4) and text.isfinite().all()
    ff, other = (p.transformer.transformer_blocks[0].ff.net[2] for p in (pipe, expected))
    x = torch.randn(1, 8, other.in_features)
    assert torch.allclose(ff(x), other(x), atol=1e-4)


def test_strength_zero_of_a_loha_changes_no_bit(tiny_model, tmp_path: Path):
    model = opened(tiny_model("sd15"))
    tensors, _ = variant(whole(model), "unet", "loha", "lora_unet_{flat}", ("to_q",))
    path = written(tensors, tmp_path / "variant.safetensors")
    assert torch.equal(unet_output(laid(model, path, 0.0)), unet_output(whole(model)))


def test_a_loha_a_lokr_and_a_lora_act_together(tiny_model, tmp_path: Path):
    model, expected = opened(tiny_model("sd15")), whole(opened(tiny_model("sd15")))
    both = model
    for kind in ("loha", "lokr"):
        tensors, expected = variant(expected, "unet", kind, "lora_unet_{flat}", ("to_q", "conv1"))
        both = both.with_lora(open_lora(str(written(tensors, tmp_path / f"{kind}.safetensors")), roots=Roots()))
    plain = {k: v for k, v in lora_tensors(model.path, "sd15").items() if k.startswith("unet.")}
    expected = merged(expected, plain, 0.5)
    path = written(plain, tmp_path / "plain.safetensors")
    pipe = whole(model)
    apply_loras(pipe, both.with_lora(open_lora(str(path), roots=Roots(), strength=0.5)))
    assert torch.allclose(unet_output(pipe), unet_output(expected), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("blocks", ["down: 0.5, mid: 0, up: -1", "down=0.5\nmid=0\nup_blocks=-1\nup.0=-1"])
def test_blocks_weigh_their_layers(tiny_model, tmp_path: Path, blocks: str):
    model = opened(tiny_model("sd15"))
    tensors = {k: v for k, v in lora_tensors(model.path, "sd15").items() if k.startswith("unet.")}
    factors = {"down_blocks": 0.5, "mid_block": 0.0, "up_blocks": -1.0}
    expected = whole(model)
    for block, factor in factors.items():
        expected = merged(expected, {k: v for k, v in tensors.items() if f".{block}." in k}, 0.7 * factor)
    pipe = laid(model, written(tensors, tmp_path / "lora.safetensors"), 0.7, blocks)
    assert torch.allclose(unet_output(pipe), unet_output(expected), atol=1e-4, rtol=1e-4)


def test_the_most_exact_block_counts_and_a_part_is_a_block(tiny_model, tmp_path: Path):
    model = opened(tiny_model("sd15"))
    tensors = lora_tensors(model.path, "sd15")
    path = written(tensors, tmp_path / "lora.safetensors")
    pipe = laid(model, path, blocks="unet: 0, down.1: 1, text_encoder: 0")
    kept = {k: v for k, v in tensors.items() if k.startswith("unet.down_blocks.1.")}
    assert kept
    expected = merged(whole(model), kept, 1.0)
    assert torch.allclose(unet_output(pipe), unet_output(expected), atol=1e-4, rtol=1e-4)
    nothing = laid(model, path, blocks="unet: 0, text_encoder: 0")
    assert torch.equal(unet_output(nothing), unet_output(whole(model)))


@pytest.mark.parametrize("text", ["down", "down: much", ": 1", "down: nan", "up: 1, up: 2"])
def test_blocks_that_are_no_pairs_are_refused(text: str):
    with pytest.raises(AigcError, match="Expected"):
        parse_blocks(text)


def test_a_block_without_a_layer_is_named_with_those_that_have_one(tiny_model, tmp_path: Path):
    model = opened(tiny_model("sd15"))
    path = written(lora_tensors(model.path, "sd15"), tmp_path / "lora.safetensors")
    with pytest.raises(AigcError, match=r"got double\.7\. It has .*text_encoder, unet, up_blocks"):
        laid(model, path, blocks="down: 1, double.7: 0")


@pytest.mark.parametrize("extra", ["to_q.dora_scale", "to_q.oft_blocks", "to_q.on_input"])
def test_a_kind_that_is_not_read_is_refused_by_name(tiny_model, tmp_path: Path, extra: str):
    model = opened(tiny_model("sd15"))
    tensors, _ = variant(whole(model), "unet", "loha", "lora_unet_{flat}", ("to_q",))
    path = written({**tensors, f"lora_unet_{extra}": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(AigcError, match=r"holds lora_unet_to_q.*not read"):
        open_lora(str(path), roots=Roots())


@pytest.mark.parametrize("damage", ["missing", "wide"])
def test_a_damaged_loha_is_refused_and_the_pipeline_stays(tiny_model, tmp_path: Path, damage: str):
    model = opened(tiny_model("sd15"))
    tensors, _ = variant(whole(model), "unet", "loha", "lora_unet_{flat}", ("to_q",))
    key = next(key for key in tensors if key.endswith("hada_w2_b"))
    tensors[key] = torch.ones(RANK, 7)
    if damage == "missing":
        del tensors[key]
    pipe, before = whole(model), state(whole(model))
    path = written(tensors, tmp_path / "damaged.safetensors")
    with pytest.raises(AigcError, match="does not fit"):
        apply_loras(pipe, model.with_lora(open_lora(str(path), roots=Roots())))
    assert same(state(pipe), before)
