"""Model files that are damaged, missing or dangerous: refused in words, never run."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.errors import AigcError
from pipelines.loading import Roots, load_part, open_model
from pipelines.loading.weights import read_header
from pipelines.payloads import Model

UNET = Path("unet", "diffusion_pytorch_model.safetensors")


def opened(folder: Path) -> Model:
    return open_model(str(folder), roots=Roots())


@pytest.fixture
def copy(tiny_model, tmp_path: Path) -> Path:
    """A tiny SD 1.5 folder to damage."""
    return shutil.copytree(tiny_model("sd15"), tmp_path / "models" / "tiny")


# Damaged and dangerous files


def header_of(text: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(text)) + text + data


def entry(shape: list[Any], span: list[Any], dtype: Any = "F32") -> bytes:
    return json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": span}}).encode()


DAMAGED = {
    "empty": b"",
    "eight bytes": b"\0" * 8,
    "huge header": struct.pack("<Q", 2**62) + b"{}",
    "header longer than the file": struct.pack("<Q", 5000) + b"{}",
    "no json": header_of(b"{not json"),
    "json list": header_of(b"[]"),
    "deep json": header_of(b"[" * 100_000),
    "no text": header_of(b"\xff\xfe\xfd"),
    "entry without dtype": header_of(b'{"a": {}}'),
    "entry that is a number": header_of(b'{"a": 3}'),
    "data cut short": header_of(entry([4], [0, 16]), b"\0" * 15),
    "data too long": header_of(entry([4], [0, 16]), b"\0" * 17),
    "shape and span differ": header_of(entry([5], [0, 16]), b"\0" * 16),
    "negative shape": header_of(entry([-4], [0, 16]), b"\0" * 16),
    "span backwards": header_of(entry([0], [16, 0]), b"\0" * 16),
    "gap": header_of(entry([2], [8, 16]), b"\0" * 16),
    "shape of words": header_of(entry(["4"], [0, 16]), b"\0" * 16),
    "dtype that is a list": header_of(entry([4], [0, 16], ["F32"]), b"\0" * 16),
    "zip": b"PK\x03\x04" + b"\0" * 100,
    "pickle": pickle.dumps({"a": 1}),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_is_refused_in_words_before_it_is_mapped(damage: str, copy: Path):
    (copy / UNET).write_bytes(DAMAGED[damage])
    start = time.perf_counter()
    with pytest.raises(AigcError, match=UNET.name) as caught:
        opened(copy)
    assert time.perf_counter() - start < 2
    assert "ownload it again" in str(caught.value) or "can run code" in str(caught.value)
    model = Model(copy, copy, "StableDiffusionPipeline")
    with pytest.raises(AigcError, match=UNET.name):
        load_part(model, "unet", dtype=torch.float32)


def test_every_way_of_cutting_a_file_short_is_seen(copy: Path):
    whole = (copy / UNET).read_bytes()
    for length in (1, 7, 8, 9, 100, 5000, len(whole) // 2, len(whole) - 1):
        (copy / UNET).write_bytes(whole[:length])
        with pytest.raises(AigcError):
            read_header(copy / UNET)


def test_a_header_of_any_small_length_is_not_taken_for_a_pickle(tmp_path: Path):
    for length in (0x80, 0x80 + 0x200, 0x80 + 0x400):
        text = entry([4], [0, 16])
        (tmp_path / "x.safetensors").write_bytes(header_of(text.ljust(length), b"\0" * 16))
        assert read_header(tmp_path / "x.safetensors")["a"].shape == (4,)


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


@pytest.mark.parametrize("name", ["model.ckpt", "model.pt", "model.bin", "model.pth", "model.safetensors"])
def test_a_pickle_is_refused_and_never_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(AigcError, match=r"can run code.*safetensors"):
        open_model(str(tmp_path / name), roots=Roots())
    assert not (tmp_path / "exploded").exists()


def test_weights_that_are_only_a_pickle_are_refused(copy: Path):
    (copy / UNET).rename(copy / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(AigcError, match="can run code"):
        opened(copy)


def test_missing_files_are_named(copy: Path):
    (copy / UNET).unlink()
    with pytest.raises(AigcError, match=r"\.safetensors weights in .*unet"):
        opened(copy)
    shutil.rmtree(copy / "vae")
    with pytest.raises(AigcError, match="vae"):
        load_part(Model(copy, copy, "StableDiffusionPipeline"), "vae", dtype=torch.float32)
    with pytest.raises(AigcError, match="Expected one of the parts"):
        load_part(Model(copy, copy, "StableDiffusionPipeline"), "transformer", dtype=torch.float32)


def test_weights_that_lack_a_tensor_or_have_another_shape_are_refused(copy: Path):
    tensors = load_file(copy / UNET)
    save_file({key: value for key, value in tensors.items() if key != "conv_in.weight"}, copy / UNET)
    with pytest.raises(AigcError, match=r"unet|UNet"):
        load_part(opened(copy), "unet", dtype=torch.float32)
    save_file({**tensors, "conv_in.weight": torch.zeros(3, 3, 3, 3)}, copy / UNET)
    with pytest.raises(AigcError, match="'unet'"):
        load_part(opened(copy), "unet", dtype=torch.float32)


def edited(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize("part", ["unet", "text_encoder"])
@pytest.mark.parametrize("key", ["auto_map", "trust_remote_code"])
def test_a_config_that_asks_for_its_own_code_is_refused(part: str, key: str, copy: Path):
    edited(copy / part / "config.json", **{key: {"AutoModel": "evil.Model"}})
    with pytest.raises(AigcError, match="runs no model code"):
        opened(copy)


@pytest.mark.parametrize(
    "values",
    [
        {"_class_name": ["evil", "Pipeline"]},
        {"_class_name": "NoSuchPipeline"},
        {"_class_name": "UNet2DModel"},
        {"unet": ["evil", "Model"]},
        {"unet": ["os", "system"]},
        {"unet": ["diffusers", "NoSuchModel"]},
        {"unet": ["stable_diffusion.evil", "Model"]},
        {"auto_map": {"DiffusionPipeline": "evil.Pipeline"}},
    ],
)
def test_an_index_that_names_unknown_code_is_refused(values: dict[str, Any], copy: Path):
    (copy / "unet" / "evil.py").write_text("open('exploded', 'w')")
    edited(copy / "model_index.json", **values)
    with pytest.raises(AigcError):
        opened(copy)


def test_a_part_that_brings_a_file_for_its_library_is_refused(copy: Path):
    (copy / "unet" / "diffusers.py").write_text("open('exploded', 'w')")
    with pytest.raises(AigcError, match="code of its own"):
        opened(copy)


@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
def test_a_damaged_index_or_config_is_refused(text: str, copy: Path):
    (copy / "unet" / "config.json").write_text(text)
    with pytest.raises(AigcError, match=r"unet.config\.json"):
        opened(copy)
    (copy / "model_index.json").write_text(text)
    with pytest.raises(AigcError, match=r"model_index\.json"):
        opened(copy)
