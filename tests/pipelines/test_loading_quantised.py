"""Files that keep their weights in fewer bits: 8-bit floats against widening by hand, GGUF against gguf's own."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from safetensors.torch import save_file

from pipelines.errors import AigcError
from pipelines.loading import Roots, list_models, list_parts, load_part, open_model, open_part, part_bytes
from pipelines.loading import quantised as packing
from pipelines.loading.single_file import CheckpointModel
from pipelines.payloads import PartFile
from tests.pipelines.checkpoints import random_parts, smaller_config
from tests.pipelines.original_layout import original

FP8 = torch.float8_e4m3fn
SMALLER: dict[str, dict[str, Any]] = {
    "transformer": {
        "num_layers": 2, "num_attention_heads": 2, "attention_head_dim": 32, "joint_attention_dim": 64,
        "axes_dims_rope": [8, 12, 12],
    },
    "vae": {"base_dim": 4},
    "text_encoder": {
        "text_config": {"vocab_size": 64, "hidden_size": 64, "intermediate_size": 32, "num_hidden_layers": 2,
                        "num_attention_heads": 4, "num_key_value_heads": 2},
        "vision_config": {"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 64},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory):
    """(the config folder of a small Qwen-Image, its parts)."""
    folder = tmp_path_factory.mktemp("packed")
    config = smaller_config("qwen_image", folder, SMALLER)
    return config, random_parts("qwen_image", config, torch.float32)


def opened(config: Path, name: str, path: Path) -> CheckpointModel:
    model = CheckpointModel(path, config, "")
    return model if name == "transformer" else model.with_part(PartFile(name, path))


def matrices(tensors: dict[str, torch.Tensor]) -> list[str]:
    return [key for key, value in tensors.items() if value.ndim == 2 and key.endswith(".weight")]


SPELLINGS = {
    "scale_weight": ({"scaled_fp8": torch.zeros(0, dtype=FP8)}, ".scale_weight", ".scale_input", ()),
    "weight_scale": ({}, ".weight_scale", ".input_scale", ()),
    "one number in a list": ({}, ".weight_scale", ".input_scale", (1,)),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", ["transformer", "text_encoder"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bf16", "fp32"])
def test_scaled_8_bit_weights_equal_the_product_by_hand(source, tmp_path: Path, name: str, spelling: str, dtype):
    config, parts = source
    more, scale_name, input_name, shape = SPELLINGS[spelling]
    stored = {key: value.contiguous() for key, value in original("qwen_image", name, parts[name]).items()} | more
    by_hand = copy.deepcopy(parts[name]).to(dtype)
    expected = dict(original("qwen_image", name, by_hand))
    for key in matrices(stored):
        layer, scale = key.removesuffix(".weight"), stored[key].abs().max() / 448
        stored[key] = (stored[key] / scale).to(FP8)
        expected[key] = (stored[key].to(torch.float32) * scale).to(dtype)
        stored |= {layer + scale_name: scale.reshape(shape), layer + input_name: torch.ones(shape)}
    save_file(stored, tmp_path / "x.safetensors")
    part = load_part(opened(config, name, tmp_path / "x.safetensors"), name, dtype=dtype)
    ours = original("qwen_image", name, part)
    assert ours.keys() == expected.keys()
    for key, value in ours.items():
        assert value.dtype == dtype and torch.equal(value, expected[key]), key


def test_rows_may_have_scales_of_their_own_and_plain_8_bit_floats_are_only_widened():
    weight = torch.randn(4, 8, generator=torch.Generator().manual_seed(0)).to(FP8)
    plain = packing.widened({"a.weight": weight, "b": torch.ones(2)}, torch.bfloat16)
    assert torch.equal(plain["a.weight"], weight.to(torch.bfloat16)) and plain["b"].dtype == torch.float32
    scales = torch.tensor([1.0, 2.0, 0.5, 3.0])
    for shape in ((4,), (4, 1)):
        rows = packing.widened({"a.weight": weight, "a.weight_scale": scales.reshape(shape)}, torch.float32)
        assert rows.keys() == {"a.weight"}
        assert torch.equal(rows["a.weight"], weight.float() * scales[:, None])
    with pytest.raises(AigcError, match=r"one number or of 4 .*\[4, 2\]"):
        packing.widened({"a.weight": weight, "a.weight_scale": torch.ones(4, 2)}, torch.float32)


@pytest.mark.parametrize("piece", list(packing.UNREAD))
def test_formats_of_fewer_bits_are_named_and_refused(source, tmp_path: Path, piece: str):
    config, parts = source
    stored = {key: value.contiguous() for key, value in original("qwen_image", "vae", parts["vae"]).items()}
    save_file(stored | {f"layer{piece}": torch.ones(1)}, tmp_path / "x.safetensors")
    with pytest.raises(AigcError, match=packing.UNREAD[piece].split()[0]):
        load_part(opened(config, "vae", tmp_path / "x.safetensors"), "vae", dtype=torch.float32)


def write_gguf(tensors: dict[str, torch.Tensor], path: Path, kind: Any, keep: tuple[str, ...] = ()) -> Path:
    """As ComfyUI's GGUF files are: matrices packed, the rest whole, more than four dimensions flattened and noted."""
    writer = gguf.GGUFWriter(path, "qwen_image")
    for key, value in tensors.items():
        data = value.float().contiguous().numpy()
        if data.ndim > 4:
            writer.add_array(f"comfy.gguf.orig_shape.{key}", [int(size) for size in data.shape])
            data = data.reshape(data.shape[0], -1)
        if key in matrices(tensors) and key not in keep:
            writer.add_tensor(key, gguf.quantize(data, kind), raw_dtype=kind)
        else:
            writer.add_tensor(key, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


KINDS = [gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.BF16]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_gguf_holds_what_gguf_itself_unpacks(source, tmp_path: Path, kind: Any):
    config, parts = source
    tensors = original("qwen_image", "transformer", parts["transformer"])
    path = write_gguf(tensors, tmp_path / "x.gguf", kind)
    part = load_part(opened(config, "transformer", path), "transformer", dtype=torch.float32)
    packed = 0
    for key, value in part.state_dict().items():
        plain = tensors[key].float()
        if key in matrices(tensors):
            packed += 1
            by_gguf = torch.from_numpy(gguf.dequantize(gguf.quantize(plain.contiguous().numpy(), kind), kind))
            ours = packing.unpacked(value) if hasattr(value, "quant_type") else value
            # diffusers multiplies 4- and 8-bit blocks in float16: gguf's own product, rounded once.
            assert torch.equal(ours.float(), by_gguf if kind.name == "BF16" else by_gguf.half().float()), key
        else:
            assert torch.equal(value, plain), key
    assert packed > 10
    assert all(not parameter.requires_grad for parameter in part.parameters())


def test_a_packed_denoiser_computes_what_the_unpacked_one_computes(source, tmp_path: Path):
    """Q8_0 keeps 8 bits and a scale for 32 numbers; the layers widen them to the run's dtype."""
    config, parts = source
    tensors = original("qwen_image", "transformer", parts["transformer"])
    path = write_gguf(tensors, tmp_path / "x.gguf", gguf.GGMLQuantizationType.Q8_0)
    part = load_part(opened(config, "transformer", path), "transformer", dtype=torch.float32)
    unpacked = copy.deepcopy(parts["transformer"])
    state = {key: packing.unpacked(v) if hasattr(v, "quant_type") else v for key, v in part.state_dict().items()}
    unpacked.load_state_dict(state)
    noise = torch.Generator().manual_seed(1)
    inputs = {
        "hidden_states": torch.randn(1, 16, 64, generator=noise),
        "encoder_hidden_states": torch.randn(1, 7, 64, generator=noise),
        "encoder_hidden_states_mask": torch.ones(1, 7, dtype=torch.bool),
        "timestep": torch.tensor([0.5]),
        "img_shapes": [[(1, 4, 4)]],
    }
    with torch.no_grad():
        ours, exact = part(**inputs).sample, type(unpacked)(**unpacked.config)
        exact.load_state_dict(unpacked.state_dict())
        assert torch.equal(ours, exact.eval()(**inputs).sample)
        exact.load_state_dict(parts["transformer"].state_dict())
        whole = exact(**inputs).sample
    difference = (ours - whole).norm() / whole.norm()
    assert 0 < difference < 0.05


def test_the_size_of_a_packed_part_is_that_of_its_file(source, tmp_path: Path):
    config, parts = source
    tensors = original("qwen_image", "transformer", parts["transformer"])
    path = write_gguf(tensors, tmp_path / "x.gguf", gguf.GGMLQuantizationType.Q8_0)
    packed = sum(tensors[key].numel() for key in matrices(tensors)) * 34 // 32
    whole = sum(value.numel() for key, value in tensors.items() if key not in matrices(tensors))
    model = opened(config, "transformer", path)
    assert part_bytes(model, "transformer") == packed + 4 * whole
    assert part_bytes(model, "transformer", dtype=torch.bfloat16) == packed + 2 * whole


def test_a_flattened_tensor_gets_its_shape_back(tmp_path: Path):
    value = torch.randn(4, 2, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    path = write_gguf({"patch.weight": value}, tmp_path / "x.gguf", gguf.GGMLQuantizationType.Q8_0)
    assert packing.gguf_header(path)["patch.weight"].shape == (4, 2, 1, 2, 2)
    assert torch.equal(packing.gguf_tensors(path, torch.float32)["patch.weight"], value)


def full_size_names(path: Path) -> Path:
    """A file that is recognised as Qwen-Image by two of its tensors."""
    return write_gguf(
        {"txt_norm.weight": torch.ones(3584), "img_in.weight": torch.zeros(3072, 64)},
        path, gguf.GGMLQuantizationType.Q8_0,
    )  # fmt: skip


def test_a_gguf_is_listed_opened_and_replaces_a_denoiser_only(tmp_path: Path):
    (tmp_path / "diffusion_models").mkdir()
    full_size_names(tmp_path / "diffusion_models" / "x.gguf")
    roots = Roots(denoisers=(tmp_path / "diffusion_models",))
    assert list_models(roots) == list_parts(roots) == ["diffusion_models/x.gguf"]
    model = open_model("diffusion_models/x.gguf", roots=roots)
    assert model.pipeline_class == "QwenImagePipeline"
    with pytest.raises(AigcError, match="million numbers"):
        open_part(model, "transformer", "diffusion_models/x.gguf", roots=roots)
    with pytest.raises(AigcError, match="denoisers only"):
        load_part(model.with_part(PartFile("text_encoder", model.path)), "text_encoder", dtype=torch.float32)


def test_without_the_package_only_gguf_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = full_size_names(tmp_path / "y.gguf")
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(AigcError, match=r"pip install 'gguf"):
        open_model(str(path), roots=Roots())


def test_a_damaged_gguf_is_refused(tmp_path: Path):
    whole = full_size_names(tmp_path / "z.gguf").read_bytes()
    for name, data in {"cut": whole[: len(whole) // 2], "other": b"GGML" + whole[4:], "empty": b""}.items():
        (tmp_path / f"{name}.gguf").write_bytes(data)
        with pytest.raises(AigcError, match="Download"):
            open_model(str(tmp_path / f"{name}.gguf"), roots=Roots())
