"""Single-file checkpoints: written here in the original layout from models of ours, read back, compared exactly."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pipelines.errors import AigcError
from pipelines.loading import (
    Roots,
    component_classes,
    describe,
    load_part,
    open_model,
    part_bytes,
    pipeline_class,
    stub_part,
)
from pipelines.loading.folder import part_class
from pipelines.loading.single_file import CONFIGS, PREFIXES, CheckpointModel, recognise
from pipelines.loading.stubs import empty_module
from pipelines.loading.weights import TensorInfo
from tests.pipelines import tiny

RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
OPEN_CLIP = {
    "layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
}  # fmt: skip
SMALLER: dict[str, dict[str, Any]] = {
    "unet": {"block_out_channels": {3: [32, 64, 64], 4: [32, 64, 64, 64]}, "cross_attention_dim": 64},
    "vae": {"block_out_channels": {4: [32, 32, 64, 64]}},
    "text_encoder": {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4},
    "text_encoder_2": {
        "hidden_size": 96, "intermediate_size": 64, "num_hidden_layers": 10, "num_attention_heads": 4,
        "projection_dim": 32,
    },
}  # fmt: skip


def renamed(name: str, table: dict[str, str]) -> str:
    for ours, theirs in table.items():
        if name == ours or name.startswith(ours + "."):
            return theirs + name[len(ours) :]
    return name


def unet_names(unet: Any) -> dict[str, str]:
    """Module prefixes of the UNet in diffusers' layout, and in the original one."""
    table = {
        "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
        "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
        "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
        "mid_block.resnets.0": "middle_block.0", "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
    }  # fmt: skip
    number = 1
    for i, block in enumerate(unet.down_blocks):
        for j in range(len(block.resnets)):
            table[f"down_blocks.{i}.resnets.{j}"] = f"input_blocks.{number}.0"
            table[f"down_blocks.{i}.attentions.{j}"] = f"input_blocks.{number}.1"
            number += 1
        table[f"down_blocks.{i}.downsamplers.0.conv"] = f"input_blocks.{number}.0.op"
        number += 1
    number = 0
    for i, block in enumerate(unet.up_blocks):
        for j in range(len(block.resnets)):
            table[f"up_blocks.{i}.resnets.{j}"] = f"output_blocks.{number}.0"
            table[f"up_blocks.{i}.attentions.{j}"] = f"output_blocks.{number}.1"
            number += 1
        last = 2 if hasattr(block, "attentions") else 1
        table[f"up_blocks.{i}.upsamplers.0.conv"] = f"output_blocks.{number - 1}.{last}.conv"
    return table


def original_unet(unet: Any) -> dict[str, torch.Tensor]:
    table, found = unet_names(unet), {}
    for key, value in unet.state_dict().items():
        new = renamed(key, table)
        if ".resnets." in key:
            block = next(theirs for ours, theirs in table.items() if key.startswith(ours + "."))
            new = f"{block}.{renamed(new[len(block) + 1 :], RESNET)}"
        found[new] = value
    return found


def original_vae(vae: Any) -> dict[str, torch.Tensor]:
    table: dict[str, str] = {}
    levels = len(vae.encoder.down_blocks)
    for side in ("encoder", "decoder"):
        table |= {
            f"{side}.mid_block.resnets.0": f"{side}.mid.block_1", f"{side}.mid_block.resnets.1": f"{side}.mid.block_2",
            f"{side}.mid_block.attentions.0": f"{side}.mid.attn_1", f"{side}.conv_norm_out": f"{side}.norm_out",
        }  # fmt: skip
    for i in range(levels):
        table[f"encoder.down_blocks.{i}.downsamplers.0"] = f"encoder.down.{i}.downsample"
        table[f"decoder.up_blocks.{i}.upsamplers.0"] = f"decoder.up.{levels - 1 - i}.upsample"
        for j in range(3):
            table[f"encoder.down_blocks.{i}.resnets.{j}"] = f"encoder.down.{i}.block.{j}"
            table[f"decoder.up_blocks.{i}.resnets.{j}"] = f"decoder.up.{levels - 1 - i}.block.{j}"
    found = {}
    for key, value in vae.state_dict().items():
        new = renamed(key, table).replace("conv_shortcut", "nin_shortcut")
        if ".attentions.0." in key:
            head, tail = new.split(".attn_1.")
            new = f"{head}.attn_1.{renamed(tail, VAE_ATTENTION)}"
            value = value[:, :, None, None] if value.ndim == 2 else value
        found[new] = value
    return found


def original_clip(encoder: Any) -> dict[str, torch.Tensor]:
    return {f"text_model.{key.removeprefix('text_model.')}": value for key, value in encoder.state_dict().items()}


def original_open_clip(encoder: Any) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    state = {key.removeprefix("text_model."): value for key, value in encoder.state_dict().items()}
    for key, value in state.items():
        head, _, tail = key.partition("encoder.layers.")
        if not head and tail:
            number, _, rest = tail.partition(".")
            if rest.startswith("self_attn.") and "out_proj" not in rest:
                kind = rest.rpartition(".")[2]  # weight or bias, q, k and v stacked
                rows = [state[f"encoder.layers.{number}.self_attn.{letter}_proj.{kind}"] for letter in "qkv"]
                found[f"transformer.resblocks.{number}.attn.in_proj_{kind}"] = torch.cat(rows)
            else:
                found[f"transformer.resblocks.{number}.{renamed(rest, OPEN_CLIP)}"] = value
    found["token_embedding.weight"] = state["embeddings.token_embedding.weight"]
    found["positional_embedding"] = state["embeddings.position_embedding.weight"]
    found |= {f"ln_final.{kind}": state[f"final_layer_norm.{kind}"] for kind in ("weight", "bias")}
    found["text_projection"] = state["text_projection.weight"].T.contiguous()
    return found


def fill(module: torch.nn.Module) -> torch.nn.Module:
    """Random values in place, quick also for a billion of them."""
    noise = torch.randn(1_000_003)
    with torch.no_grad():
        for number, value in enumerate(module.parameters()):
            flat, start = value.view(-1), number * 7919 % 500_000
            for begin in range(0, len(flat), 500_000):
                piece = flat[begin : begin + 500_000]
                piece.copy_(noise[start : start + len(piece)])
    return module


def random_parts(family: str, config: Path, dtype: torch.dtype) -> dict[str, Any]:
    classes = component_classes(CheckpointModel(config, config, ""))
    parts = {}
    for name in PREFIXES[family]:
        module = empty_module(part_class(*classes[name]), config / name)
        parts[name] = fill(module.to(dtype).to_empty(device="cpu"))
    return parts


def write_checkpoint(family: str, parts: dict[str, Any], path: Path) -> Path:
    writers = {
        "unet": original_unet,
        "vae": original_vae,
        "text_encoder": original_clip,
        "text_encoder_2": original_open_clip,
    }
    tensors = {
        PREFIXES[family][n] + k: v.contiguous() for n, part in parts.items() for k, v in writers[n](part).items()
    }
    save_file(tensors, path)
    return path


def smaller_config(family: str, folder: Path) -> Path:
    """The shipped config folder at small widths: the same layers and names."""
    config = shutil.copytree(CONFIGS / family, folder / family)
    for name in PREFIXES[family]:
        file = config / name / "config.json"
        values = json.loads(file.read_text())
        for key, value in SMALLER[name].items():
            values[key] = value[len(values[key])] if isinstance(value, dict) else value
        if name == "unet" and family == "sdxl":
            values |= {"projection_class_embeddings_input_dim": 48, "attention_head_dim": [2, 4, 4]}
        file.write_text(json.dumps(values))
    return config


def assert_same(part: torch.nn.Module, source: torch.nn.Module) -> None:
    ours, theirs = part.state_dict(), source.state_dict()
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert value.dtype == theirs[key].dtype and torch.equal(value, theirs[key]), key


@pytest.fixture(scope="module", params=["sd15", "sdxl"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A checkpoint of each family at small widths: (model, its source parts)."""
    family, folder = request.param, tmp_path_factory.mktemp(request.param)
    config = smaller_config(family, folder)
    parts = random_parts(family, config, torch.float32)
    path = write_checkpoint(family, parts, folder / "model.safetensors")
    words = tiny.clip_tokenizer_files(folder / "words")
    return CheckpointModel(path, config, "", clip_tokenizer=words), parts


def test_every_part_equals_its_source(small):
    model, parts = small
    for name, source in parts.items():
        part = load_part(model, name, dtype=torch.float32)
        assert_same(part, source)
        assert not part.training and not any(p.requires_grad for p in part.parameters())


def test_a_part_converts_to_the_dtype_asked_for(small):
    model, parts = small
    part = load_part(model, "text_encoder", dtype=torch.bfloat16)
    assert_same(part, parts["text_encoder"].to(torch.bfloat16))
    parts["text_encoder"].to(torch.float32)


def test_the_loaded_encoder_computes_what_its_source_computes(small):
    model, _ = small
    encoder = load_part(model, "text_encoder", dtype=torch.float32)
    assert torch.isfinite(encoder(torch.arange(77)[None] % 10).last_hidden_state).all()


def test_the_tokenizer_has_the_hosts_words_and_our_length(small):
    model, _ = small
    tokenizer = load_part(model, "tokenizer", dtype=torch.float32)
    assert tokenizer.model_max_length == 77
    ids = tokenizer("a photo of a cat", padding="max_length", truncation=True).input_ids
    assert ids == tiny.clip_tokenizer()("a photo of a cat", padding="max_length", truncation=True).input_ids


def test_without_the_hosts_words_the_tokenizer_is_refused(small, tmp_path: Path):
    model, _ = small
    bare = CheckpointModel(model.path, model.config, "", clip_tokenizer=tmp_path)
    with pytest.raises(AigcError, match=r"vocab\.json and merges\.txt"):
        load_part(bare, "tokenizer", dtype=torch.float32)


def test_sizes_come_from_the_header(small):
    model, parts = small
    numbers = sum(value.numel() for value in parts["unet"].parameters())
    assert part_bytes(model, "unet", dtype=torch.float16) == 2 * numbers
    assert part_bytes(model, "unet") == 4 * numbers
    assert "single file" in describe(model)


def test_a_checkpoint_without_a_vae_says_so(small, tmp_path: Path):
    model, parts = small
    family = model.config.name
    path = write_checkpoint(family, {"unet": parts["unet"]}, tmp_path / "unet_only.safetensors")
    with pytest.raises(AigcError, match="vae"):
        load_part(CheckpointModel(path, model.config, ""), "vae", dtype=torch.float32)


def test_shipped_configs_make_the_published_sizes():
    expected = {
        "sd15": {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480},
        "sdxl": {"unet": 2_567_463_684, "vae": 83_653_863, "text_encoder": 123_060_480, "text_encoder_2": 694_659_840},
    }
    for family, sizes in expected.items():
        # A single file is asked for no tensors by a stub: any file will do.
        model = CheckpointModel(CONFIGS / family / "model_index.json", CONFIGS / family, "")
        for name, size in sizes.items():
            stub = stub_part(model, name, device="cpu", dtype=torch.float16)
            assert sum(value.numel() for value in stub.parameters()) == size, (family, name)


CONV = "model.diffusion_model.input_blocks.0.0.weight"
SD_TEXT = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
XL_TEXT = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"


def header(**shapes: tuple[int, ...]) -> dict[str, TensorInfo]:
    return {key: TensorInfo("F16", shape) for key, shape in shapes.items()}


def test_sd15_and_sdxl_are_recognised_by_their_headers():
    sd15 = header(**{CONV: (320, 4, 3, 3), SD_TEXT: (320, 768)})
    sdxl = header(**{CONV: (320, 4, 3, 3), XL_TEXT: (640, 2048)})
    assert recognise(sd15, Path("x")).name == "sd15"
    assert recognise(sdxl, Path("x")).name == "sdxl"


@pytest.mark.parametrize(
    ("shapes", "seen"),
    [
        ({CONV: (320, 4, 3, 3), SD_TEXT: (320, 1024)}, "1024"),
        ({CONV: (320, 9, 3, 3), SD_TEXT: (320, 768)}, "9 input channels"),
        ({CONV: (384, 4, 3, 3), XL_TEXT: (768, 1280)}, "refiner"),
        ({CONV: (320, 4, 3, 3), XL_TEXT: (640, 2048), "v_pred": (0,)}, "v-prediction"),
        ({"double_blocks.0.img_attn.qkv.weight": (9216, 3072)}, "FLUX"),
        ({"model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight": (9, 9)}, "Stable Diffusion 3"),
        ({"lora_unet_down_blocks_0.lora_down.weight": (4, 320)}, "LoRA"),
        ({"blocks.0.scale_weight": (1,)}, "fp8"),
        ({"my.tensor": (1,)}, "my.tensor"),
        ({}, "0 tensors"),
    ],
)
def test_other_families_are_named_and_refused(shapes: dict[str, tuple[int, ...]], seen: str):
    with pytest.raises(AigcError, match="Read now") as caught:
        recognise(header(**shapes), Path("x.safetensors"))
    assert seen in str(caught.value)


@pytest.mark.slow
def test_a_full_size_sd15_checkpoint_opens_by_its_name_and_equals_its_source(tmp_path: Path):
    parts = random_parts("sd15", CONFIGS / "sd15", torch.float16)
    write_checkpoint("sd15", parts, tmp_path / "sd15.safetensors")
    model = open_model("sd15.safetensors", roots=Roots(checkpoints=(tmp_path,)))
    assert pipeline_class(model).__name__ == "StableDiffusionPipeline"
    for name, source in parts.items():
        assert_same(load_part(model, name, dtype=torch.float16), source)
