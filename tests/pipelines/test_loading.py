# Long: every way a model file can be wrong, one test each.
"""Model folders: found by name, opened, loaded part by part."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from pipelines import loading
from pipelines.errors import AigcError
from pipelines.loading import (
    Roots,
    StubCalled,
    component_classes,
    describe,
    list_models,
    load_part,
    open_model,
    part_bytes,
    pipeline_class,
    pipeline_settings,
    stub_part,
)
from pipelines.loading.weights import choose_weights
from pipelines.payloads import Model
from tests.pipelines import tiny

UNET = Path("unet", "diffusion_pytorch_model.safetensors")
REPO = Path(__file__).resolve().parents[2]


def opened(folder: Path) -> Model:
    return open_model(str(folder), roots=Roots())


@pytest.fixture
def copy(tiny_model, tmp_path: Path) -> Path:
    """A tiny SD 1.5 folder to damage."""
    return shutil.copytree(tiny_model("sd15"), tmp_path / "models" / "tiny")


def roots_of(copy: Path) -> Roots:
    return Roots(diffusers=(copy.parent,))


# What loads


@pytest.mark.parametrize("family", tiny.BUILD)
def test_every_part_equals_what_was_saved(family: str, tiny_model):
    model, source = opened(tiny_model(family)), tiny.pipeline(family)
    assert pipeline_class(model) is type(source)
    assert set(component_classes(model)) == {name for name, part in source.components.items() if part is not None}
    for name in component_classes(model):
        part = load_part(model, name, dtype=torch.float32)
        saved = source.components[name]
        assert type(part).__name__.removesuffix("Fast") == type(saved).__name__.removesuffix("Fast")
        if isinstance(part, nn.Module):
            values = part.state_dict()
            assert all(torch.equal(values[key], value) for key, value in saved.state_dict().items())
            assert not part.training and not any(value.requires_grad for value in part.parameters())


def test_a_part_comes_in_the_dtype_asked_for_and_outside_inference_mode(tiny_model):
    with torch.inference_mode():
        unet = load_part(opened(tiny_model("sd15")), "unet", dtype=torch.bfloat16)
    assert {value.dtype for value in unet.parameters()} == {torch.bfloat16}
    assert not any(value.is_inference() for value in unet.parameters())


def test_shards_and_a_lone_variant_load_too(copy: Path):
    unet = load_part(opened(copy), "unet", dtype=torch.float32)
    shutil.rmtree(copy / "unet")
    unet.save_pretrained(copy / "unet", max_shard_size="100KB", variant="fp16")
    encoder = load_part(opened(copy), "text_encoder", dtype=torch.float32)
    shutil.rmtree(copy / "text_encoder")
    encoder.half().save_pretrained(copy / "text_encoder", variant="fp16")
    assert len(list((copy / "unet").glob("*.safetensors"))) > 1
    model = opened(copy)
    again = load_part(model, "unet", dtype=torch.float32)
    assert all(torch.equal(value, unet.state_dict()[key]) for key, value in again.state_dict().items())
    assert load_part(model, "text_encoder", dtype=torch.float16).dtype == torch.float16


def test_the_files_chosen_are_the_plain_ones_before_variants():
    names = ["config.json", "model.safetensors", "model.fp16.safetensors", "pytorch_model.bin"]
    assert choose_weights(names).names == ("model.safetensors",)
    assert choose_weights(names[2:]).variant == "fp16"
    shards = [f"model-{i:05}-of-00002.safetensors" for i in (1, 2)]
    assert choose_weights(shards) is None
    assert choose_weights([*shards, "model.safetensors.index.json"]).names == tuple(shards)
    half = [f"diffusion_pytorch_model.fp16-{i:05}-of-00002.safetensors" for i in (1, 2)]
    chosen = choose_weights([*half, "diffusion_pytorch_model.safetensors.index.fp16.json"])
    assert (chosen.variant, chosen.names) == ("fp16", tuple(half))


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="reads Linux's memory map")
def test_weights_in_the_dtype_asked_for_stay_pages_of_the_file(tmp_path: Path):
    """128 MB of fp32 weights must cost next to no anonymous memory."""
    from diffusers import AutoencoderKL, StableDiffusionPipeline
    from transformers import CLIPTextConfig, CLIPTextModel

    encoder = CLIPTextModel(CLIPTextConfig(vocab_size=60_000, hidden_size=512, num_hidden_layers=1))
    widths = {"block_out_channels": (512,), "norm_num_groups": 32}
    vae = AutoencoderKL(**widths, layers_per_block=2)
    StableDiffusionPipeline(
        vae, encoder, tiny.clip_tokenizer(), tiny.unet(), tiny.pipeline("sd15").scheduler, None, None,
        requires_safety_checker=False,
    ).save_pretrained(tmp_path)  # fmt: skip
    code = (
        "import sys, torch; from pathlib import Path; from pipelines.loading import *\n"
        "model = open_model(sys.argv[1], roots=Roots())\n"
        "def anonymous():\n"
        "    return next(int(l.split()[1]) for l in open('/proc/self/smaps_rollup') if l[:10] == 'Anonymous:')\n"
        "for name in ('vae', 'text_encoder'):\n"
        "    stub_part(model, name, device='cpu', dtype=torch.float32)\n"
        "    before = anonymous(); part = load_part(model, name, dtype=torch.float32)\n"
        "    print(anonymous() - before, sum(p.numel() * 4 for p in part.parameters()) // 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=REPO, capture_output=True, text=True, check=True
    )
    for line in done.stdout.splitlines():
        added, size = map(int, line.split())
        assert size > 30_000 and added < 0.25 * size, done.stdout


def test_sizes_and_settings_come_from_the_files(tiny_model):
    model = opened(tiny_model("sdxl"))
    stored = load_file(model.path / UNET)
    assert part_bytes(model, "unet") == sum(value.nbytes for value in stored.values())
    assert part_bytes(model, "unet", dtype=torch.bfloat16) * 2 == part_bytes(model, "unet")
    assert part_bytes(model, "tokenizer") == 0
    assert pipeline_settings(model)["force_zeros_for_empty_prompt"] is True


# Stubs


def settings(part: Any) -> dict[str, Any]:
    """A part's config without what loading adds: where it came from and the dtype it has."""
    values = part.config.to_dict() if hasattr(part.config, "to_dict") else dict(part.config)
    return {key: value for key, value in values.items() if key not in ("_name_or_path", "dtype")}


@pytest.mark.parametrize("family", tiny.BUILD)
def test_stubs_make_a_pipeline_that_reports_device_and_dtype(family: str, tiny_model):
    model = opened(tiny_model(family))
    parts = {name: stub_part(model, name, device="cpu", dtype=torch.bfloat16) for name in component_classes(model)}
    pipe = pipeline_class(model)(**dict.fromkeys(loading.empty_parts(model)), **parts, **pipeline_settings(model))
    assert (str(pipe.device), pipe.dtype) == ("cpu", torch.bfloat16)
    for name, part in parts.items():
        if isinstance(part, nn.Module):
            real = load_part(model, name, dtype=torch.float32)
            assert isinstance(part, type(real)) and type(part).__name__ == type(real).__name__
            assert settings(part) == settings(real)
            assert all(value.is_meta for value in part.parameters())


def test_small_buffers_of_a_stub_are_real(tiny_model):
    model = opened(tiny_model("ltx"))
    stub = stub_part(model, "vae", device="cpu", dtype=torch.bfloat16)
    real = load_part(model, "vae", dtype=torch.bfloat16)
    assert torch.equal(stub.latents_mean, real.latents_mean) and torch.equal(stub.latents_std, real.latents_std)


def test_a_stub_refuses_to_compute_and_ignores_being_moved(tiny_model):
    stub = stub_part(opened(tiny_model("sd15")), "vae", device="cpu", dtype=torch.float32)
    assert stub.to("cpu", torch.float16) is stub and stub.dtype == torch.float32
    for call in (lambda: stub(torch.zeros(1, 3, 8, 8)), lambda: stub.decode(torch.zeros(1, 4, 8, 8))):
        with pytest.raises(StubCalled, match="Internal error"):
            call()


# Names


def test_models_are_listed_embedded_first_and_two_levels_deep(copy: Path, tmp_path: Path):
    (tmp_path / "checkpoints" / "xl").mkdir(parents=True)
    save_file({"a": torch.zeros(1)}, tmp_path / "checkpoints" / "xl" / "b.safetensors")
    (tmp_path / "checkpoints" / "old.ckpt").write_bytes(b"x")
    shutil.copytree(copy, copy.parent / "maker" / "other")
    shutil.copytree(copy, copy.parent / "too" / "deep" / "model")
    shutil.copytree(copy, tmp_path / "embedded" / "pictogram")
    roots = Roots((tmp_path / "embedded",), (copy.parent, tmp_path / "absent"), (tmp_path / "checkpoints",))
    assert list_models(roots) == ["pictogram", "tiny", "maker/other", "xl/b.safetensors"]
    for name in list_models(roots)[:3]:
        assert open_model(name, roots=roots).source == name


@pytest.mark.parametrize(
    "name",
    [
        "../tiny", "maker/../../tiny", "..", "..\\tiny", "tiny/../../x", "/tmp/../etc", "a\0b", "", "   ", "nowhere",
        "./tiny", "~/tiny", "https://example.org/a", "file:///etc/passwd", "a/b/c", "tiny.safetensors", None,
    ],
)  # fmt: skip
def test_a_name_that_is_not_listed_is_refused(name: Any, copy: Path):
    with pytest.raises(AigcError):
        open_model(name, roots=roots_of(copy))


def test_a_link_that_leaves_its_root_is_not_a_model(copy: Path, tmp_path: Path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(copy)
    with pytest.raises(AigcError, match="no model named"):
        open_model("link", roots=Roots(diffusers=(tmp_path / "root",)))


def test_a_near_miss_is_answered_with_the_name(copy: Path):
    with pytest.raises(AigcError, match="Did you mean tiny"):
        open_model("tny", roots=roots_of(copy))


def test_unknown_options_and_folders_are_refused(copy: Path):
    with pytest.raises(AigcError, match="Expected dtype"):
        open_model("tiny", roots=roots_of(copy), dtype="int8")
    with pytest.raises(AigcError, match="Expected offload"):
        open_model("tiny", roots=roots_of(copy), offload="never")
    with pytest.raises(AigcError, match=r"model_index\.json"):
        opened(copy / "unet")


def test_the_fingerprint_follows_the_files(copy: Path):
    before = loading.fingerprint("tiny", roots=roots_of(copy))
    assert loading.fingerprint("tiny", roots=roots_of(copy)) == before
    (copy / UNET).write_bytes(b"changed")
    assert loading.fingerprint("tiny", roots=roots_of(copy)) != before
    assert loading.fingerprint("../nowhere", roots=roots_of(copy)) == "../nowhere"


# Words


def test_the_description_names_parts_numbers_source_and_licence(copy: Path):
    (copy / "README.md").write_text("---\nlicense: apache-2.0\ntags: [x]\n---\n# A model\n")
    model = open_model("tiny", roots=roots_of(copy), dtype="float32")
    text = describe(model)
    count = sum(value.numel() for value in load_file(copy / UNET).values())
    for words in ("StableDiffusionPipeline", "UNet2DConditionModel", f"{count / 1000:.3g} thousand parameters", "F32",
                  "source: tiny", "licence: apache-2.0", "computes in: float32"):  # fmt: skip
        assert words in text


def test_importing_loading_imports_no_model_library():
    heavy = "('diffusers', 'transformers', 'peft', 'huggingface_hub')"
    code = f"import sys, pipelines.loading; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
