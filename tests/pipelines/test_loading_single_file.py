"""Single-file checkpoints: written here in the original layout from models of ours, read back, compared exactly."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pipelines.errors import AigcError
from pipelines.loading import (
    Roots,
    describe,
    list_models,
    list_parts,
    load_part,
    open_model,
    open_part,
    part_bytes,
    pipeline_class,
    single_file,
    stub_part,
)
from pipelines.loading.families import BY_CONFIG, CONFIGS, recognise
from pipelines.loading.single_file import CheckpointModel
from pipelines.loading.weights import TensorInfo
from pipelines.payloads import PartFile
from tests.pipelines import tiny
from tests.pipelines.checkpoints import assert_same, fill, random_parts, smaller_config
from tests.pipelines.original_layout import original, write_checkpoint

CLIP = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
OPEN_CLIP = {"hidden_size": 96, "intermediate_size": 64, "num_hidden_layers": 10, "num_attention_heads": 4}
T5 = {"d_model": 48, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 4}
SD3 = {
    "num_layers": 2, "num_attention_heads": 2, "caption_projection_dim": 128, "joint_attention_dim": 48,
    "pooled_projection_dim": 96,
}  # fmt: skip
VAE = {"block_out_channels": [32, 32, 64, 64]}
UNET = {"block_out_channels": [32, 64, 64, 64], "cross_attention_dim": 64}
UNET_XL = {
    **UNET, "block_out_channels": [32, 64, 64], "projection_class_embeddings_input_dim": 48,
    "attention_head_dim": [2, 4, 4],
}  # fmt: skip
# diffusers' converter of FLUX knows one width only, 3072: one block of each kind is as small as it gets.
FLUX = {"num_layers": 1, "num_single_layers": 1, "joint_attention_dim": 48, "pooled_projection_dim": 64}
SMALLER: dict[str, dict[str, dict[str, Any]]] = {
    "sd15": {"unet": UNET, "vae": VAE, "text_encoder": CLIP},
    "sd15_inpaint": {"unet": UNET, "vae": VAE, "text_encoder": CLIP},
    "sd2": {"unet": UNET, "vae": VAE, "text_encoder": {**OPEN_CLIP, "projection_dim": 32}},
    "sdxl": {"unet": UNET_XL, "vae": VAE, "text_encoder": CLIP, "text_encoder_2": {**OPEN_CLIP, "projection_dim": 32}},
    "sd3_medium": {
        "transformer": SD3, "vae": VAE, "text_encoder": {**CLIP, "projection_dim": 64},
        "text_encoder_2": {**CLIP, "projection_dim": 32}, "text_encoder_3": T5,
    },
    "sd35_medium": {
        "transformer": {**SD3, "dual_attention_layers": [0]}, "vae": VAE,
        "text_encoder": {**CLIP, "projection_dim": 64}, "text_encoder_2": {**CLIP, "projection_dim": 32},
        "text_encoder_3": T5,
    },
    "flux_dev": {"transformer": FLUX, "vae": VAE, "text_encoder": CLIP, "text_encoder_2": T5},
}  # fmt: skip


@pytest.fixture(scope="module", params=list(SMALLER))
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A checkpoint of each family at small widths: (model, its source parts)."""
    family, folder = request.param, tmp_path_factory.mktemp(request.param)
    config = smaller_config(family, folder, SMALLER[family])
    parts = random_parts(family, config, torch.bfloat16 if family == "flux_dev" else torch.float32)
    path = write_checkpoint(family, parts, folder / "model.safetensors")
    words = tiny.clip_tokenizer_files(folder / "words")
    return CheckpointModel(path, config, "", tokenizers={"clip": words}), parts


def denoiser(parts: dict[str, Any]) -> str:
    return "unet" if "unet" in parts else "transformer"


def test_every_part_equals_its_source(small):
    model, parts = small
    for name, source in parts.items():
        part = load_part(model, name, dtype=source.dtype)
        assert_same(part, source)
        assert not part.training and not any(p.requires_grad for p in part.parameters())


def test_a_part_converts_to_the_dtype_asked_for(small):
    model, parts = small
    part = load_part(model, "vae", dtype=torch.float16)
    assert_same(part, copy.deepcopy(parts["vae"]).to(torch.float16))


def test_the_loaded_encoder_computes_what_its_source_computes(small):
    model, parts = small
    encoder = load_part(model, "text_encoder", dtype=torch.float32)
    ids = torch.arange(77)[None] % 10
    source = type(encoder)(encoder.config).eval()  # afresh: a module that was made empty has no position numbers
    source.load_state_dict(parts["text_encoder"].state_dict())
    assert torch.equal(encoder(ids).last_hidden_state, source(ids).last_hidden_state)


def test_the_tokenizer_has_the_hosts_words_and_our_length(small):
    model, _ = small
    tokenizer = load_part(model, "tokenizer", dtype=torch.float32)
    assert tokenizer.model_max_length == 77
    ids = tokenizer("a photo of a cat", padding="max_length", truncation=True).input_ids
    pad = ids[-1] if model.config.name == "sd2" else None  # SD 2 pads with "!"
    plain = tiny.clip_tokenizer()("a photo of a cat", padding="max_length", truncation=True).input_ids
    assert ids[:7] == plain[:7]
    assert pad is not None or ids == plain


def test_without_the_hosts_words_the_tokenizer_is_refused(small, tmp_path: Path):
    model, _ = small
    bare = CheckpointModel(model.path, model.config, "", tokenizers={"clip": tmp_path})
    with pytest.raises(AigcError, match=r"vocab\.json and merges\.txt"):
        load_part(bare, "tokenizer", dtype=torch.float32)


def test_sizes_come_from_the_header(small):
    model, parts = small
    name = denoiser(parts)
    values = parts[name].state_dict().values()
    assert part_bytes(model, name, dtype=torch.float16) == 2 * sum(value.numel() for value in values)
    assert part_bytes(model, name) == sum(value.nbytes for value in values)
    assert "single file" in describe(model)


def test_a_checkpoint_without_a_vae_says_so(small, tmp_path: Path):
    model, parts = small
    family, name = model.config.name, "text_encoder"
    path = write_checkpoint(family, {name: parts[name]}, tmp_path / "encoder_only.safetensors")
    with pytest.raises(AigcError, match=r"'vae'.*Replace Part"):
        load_part(CheckpointModel(path, model.config, ""), "vae", dtype=torch.float32)


def test_a_part_can_come_from_a_file_of_its_own(small, tmp_path: Path):
    """As people have them: the denoiser alone without a prefix, the VAE and the encoders beside it."""
    model, parts = small
    family = model.config.name
    replaced = model
    for name, part in parts.items():
        changed = fill(copy.deepcopy(part), seed=7)
        save_file({k: v.contiguous() for k, v in original(family, name, changed).items()}, tmp_path / name)
        replaced = replaced.with_part(PartFile(name, tmp_path / name))
        assert_same(load_part(replaced, name, dtype=part.dtype), changed)
        assert not torch.equal(next(iter(changed.parameters())), next(iter(part.parameters())))
    assert_same(load_part(model, "vae", dtype=parts["vae"].dtype), parts["vae"])
    assert "vae from: vae" in describe(replaced)


def test_a_part_file_is_found_by_its_folder_and_name_and_checked(small, tmp_path: Path):
    model, parts = small
    family, name = model.config.name, denoiser(parts)
    roots = Roots(parts=(tmp_path / "vae", tmp_path / "text_encoders"))
    for root in roots.parts:
        root.mkdir()
    vae, encoder = roots.parts[0] / "it.safetensors", roots.parts[1] / "it.safetensors"
    save_file({k: v.contiguous() for k, v in original(family, "vae", parts["vae"]).items()}, vae)
    save_file({k: v.contiguous() for k, v in original(family, "text_encoder", parts["text_encoder"]).items()}, encoder)
    assert sorted(list_parts(roots)) == ["text_encoders/it.safetensors", "vae/it.safetensors"]
    assert_same(load_part(open_part(model, "vae", "vae/it.safetensors", roots=roots), "vae", dtype=torch.float32),
                copy.deepcopy(parts["vae"]).float())  # fmt: skip
    assert open_part(model, "text_encoder", str(encoder), roots=roots).parts[-1].path == encoder
    with pytest.raises(AigcError, match="another part"):
        open_part(model, "vae", "text_encoders/it.safetensors", roots=roots)
    with pytest.raises(AigcError, match=f"parts .*{name}"):
        open_part(model, "tokenizer", "vae/it.safetensors", roots=roots)
    with pytest.raises(AigcError, match="no file of a part"):
        open_part(model, "vae", "vae/other.safetensors", roots=roots)
    (roots.parts[0] / "pickled.safetensors").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(AigcError, match="pickle"):
        open_part(model, "vae", "vae/pickled.safetensors", roots=roots)


def test_a_denoiser_alone_is_listed_and_says_what_it_lacks(tmp_path: Path):
    folder = tmp_path / "diffusion_models"
    folder.mkdir()
    save_file({key: torch.zeros(shape) for key, shape in GUIDED.items()}, folder / "flux.safetensors")
    roots = Roots(denoisers=(folder,))
    assert list_models(roots) == ["diffusion_models/flux.safetensors"]
    model = open_model("diffusion_models/flux.safetensors", roots=roots)
    assert model.pipeline_class == "FluxPipeline"
    with pytest.raises(AigcError, match=r"'text_encoder_2'.*Replace Part"):
        load_part(model, "text_encoder_2", dtype=torch.float32)


def test_shipped_configs_make_the_published_sizes():
    vae16, t5 = 83_819_683, 4_762_310_656
    expected = {
        "sd15": {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480},
        "sd2": {"unet": 865_910_724, "vae": 83_653_863, "text_encoder": 340_387_840},
        "sdxl": {"unet": 2_567_463_684, "vae": 83_653_863, "text_encoder": 123_060_480, "text_encoder_2": 694_659_840},
        "sd3_medium": {"transformer": 2_028_328_000, "vae": vae16, "text_encoder": 123_650_304, "text_encoder_3": t5},
        "flux_dev": {"transformer": 11_901_408_320, "vae": vae16, "text_encoder": 123_060_480, "text_encoder_2": t5},
        "flux_schnell": {"transformer": 11_891_178_560},
    }
    for family, sizes in expected.items():
        # A single file is asked for no tensors by a stub: any file will do.
        model = CheckpointModel(CONFIGS / family / "model_index.json", CONFIGS / family, "")
        for name, size in sizes.items():
            stub = stub_part(model, name, device="cpu", dtype=torch.float16)
            assert sum(value.numel() for value in stub.parameters()) == size, (family, name)


NET = "model.diffusion_model."
CONV, SD_TEXT = f"{NET}input_blocks.0.0.weight", f"{NET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
XL_TEXT = f"{NET}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
SD35 = "joint_blocks.0.x_block.attn.ln_q.weight"
FLUX_KEYS = {"img_in.weight": (3072, 64), "double_blocks.0.img_attn.norm.key_norm.scale": (128,)}
GUIDED = {**FLUX_KEYS, "guidance_in.in_layer.weight": (3072, 256)}
CHROMA = {**FLUX_KEYS, "distilled_guidance_layer.in_proj.weight": (5120, 64)}


def header(shapes: dict[str, tuple[int, ...]]) -> dict[str, TensorInfo]:
    return {key: TensorInfo("F16", shape) for key, shape in shapes.items()}


@pytest.mark.parametrize(
    ("shapes", "family"),
    [
        ({CONV: (320, 4, 3, 3), SD_TEXT: (320, 768)}, "sd15"),
        ({CONV: (320, 9, 3, 3), SD_TEXT: (320, 768)}, "sd15_inpaint"),
        ({CONV: (320, 4, 3, 3), SD_TEXT: (320, 1024)}, "sd2"),
        ({CONV: (320, 4, 3, 3), XL_TEXT: (640, 2048)}, "sdxl"),
        ({CONV: (320, 4, 3, 3), XL_TEXT: (640, 2048), "v_pred": (0,)}, "sdxl_v"),
        ({f"{NET}pos_embed": (1, 36864, 1536)}, "sd3_medium"),
        ({"pos_embed": (1, 147456, 1536), SD35: (64,)}, "sd35_medium"),
        ({f"{NET}pos_embed": (1, 36864, 2432), NET + SD35: (64,)}, "sd35_large"),
        (GUIDED, "flux_dev"),
        ({NET + key: shape for key, shape in GUIDED.items()}, "flux_dev"),
        (FLUX_KEYS, "flux_schnell"),
    ],
)
def test_a_family_is_recognised_by_its_header(shapes: dict[str, tuple[int, ...]], family: str):
    assert recognise(header(shapes), Path("x")).config == family


@pytest.mark.parametrize(
    ("shapes", "seen"),
    [
        ({CONV: (320, 4, 3, 3), SD_TEXT: (320, 512)}, "neither SD 1.5"),
        ({CONV: (320, 8, 3, 3), SD_TEXT: (320, 768)}, "8 input channels"),
        ({CONV: (384, 4, 3, 3), XL_TEXT: (768, 1280)}, "refiner"),
        ({**CHROMA, "nerf_blocks.0.norm.scale": (64,)}, "Chroma"),
        ({"lora_unet_down_blocks_0.lora_down.weight": (4, 320)}, "LoRA"),
        ({"my.tensor": (1,)}, "below my (1)"),
        ({}, "0 tensors"),
    ],
)
def test_other_families_are_named_and_refused(shapes: dict[str, tuple[int, ...]], seen: str):
    with pytest.raises(AigcError, match="as a diffusers folder") as caught:
        recognise(header(shapes), Path("x.safetensors"))
    assert seen in str(caught.value)


@pytest.mark.parametrize(("spread", "config"), [(1.0, "sd2"), (0.01, "sd2_base")])
def test_the_objective_of_sd2_shows_in_its_values(tmp_path: Path, spread: float, config: str):
    save_file({single_file.SD2_BIAS: torch.linspace(-spread, spread, 320)}, tmp_path / "x.safetensors")
    assert single_file.settled(BY_CONFIG["sd2"], tmp_path / "x.safetensors").name == config


@pytest.mark.slow
def test_a_full_size_sd15_checkpoint_opens_by_its_name_and_equals_its_source(tmp_path: Path):
    parts = random_parts("sd15", CONFIGS / "sd15", torch.float16)
    write_checkpoint("sd15", parts, tmp_path / "sd15.safetensors")
    model = open_model("sd15.safetensors", roots=Roots(checkpoints=(tmp_path,)))
    assert pipeline_class(model).__name__ == "StableDiffusionPipeline"
    for name, source in parts.items():
        assert_same(load_part(model, name, dtype=torch.float16), source)
