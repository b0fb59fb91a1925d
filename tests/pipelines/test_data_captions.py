"""Captions: from sidecars and tables of all kinds, names, lines, a real captioner; put together by a form."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipelines.data import captioner, captions, collecting, handles
from pipelines.data.captions import Form, captioned, name_of
from pipelines.errors import AigcError
from pipelines.payloads import Item
from pipelines.runtime import Runtime
from pipelines.sources import Roots

from .picture_files import dataset, film, folder, scene, write, zipped


def texts(data) -> list[str]:
    return [item.caption for item in data.items]


@pytest.mark.parametrize(
    ("files", "said"),
    (
        ({"000.txt": " a red\n apple \n"}, "a red apple"),
        ({"000.txt": "\ufeffstern 星"}, "stern 星"),
        ({"000.png.txt": "beside the whole name"}, "beside the whole name"),
        ({"000.caption": "by its ending"}, "by its ending"),
        ({"000.json": json.dumps({"caption": "of json", "width": 4})}, "of json"),
        ({"000.json": json.dumps({"prompt": "of json", "tags": ["a", "b"]})}, "of json, a, b"),
        ({"metadata.jsonl": '{"file_name": "000.png", "text": "of a row"}\n{"file_name": "x.png"}'}, "of a row"),
        ({"meta_cap.json": json.dumps({"somewhere/else/000.png": {"caption": "no"}, "000": {"tags": "1girl, solo"}})},
         "1girl, solo"),
        ({"metadata.json": json.dumps([{"image": "000.png", "description": "of a list"}])}, "of a list"),
        ({"000.txt": "", "metadata.jsonl": '{"file_name": "000.png", "text": "table"}'}, "table"),
        ({"metadata.jsonl": 'broken {\n{"file_name": "000.png", "text": "after"}'}, "after"),
        ({"000.json": "broken {"}, ""),
    ),
)  # fmt: skip
def test_sidecars_of_every_kind_are_read_in_folders_and_in_zips(tmp_path, files, said):
    folder(tmp_path / "set", 1)
    members = {"set/000.png": (tmp_path / "set/000.png").read_bytes()}
    for name, text in files.items():
        (tmp_path / "set" / name).write_text(text, "utf-8")
        members[f"set/{name}"] = text.encode()
    zipped(tmp_path / "set.zip", members)
    data = collecting.collect(["set", "set.zip"], tmp_path)
    assert texts(captioned(data, "sidecar")) == [said, said]
    handles.close()


def test_a_table_one_folder_above_knows_its_files_by_their_path(tmp_path):
    write(tmp_path / "set/cats/1.png", scene(0))
    rows = {"cats/1.png": {"caption": "a cat"}}
    (tmp_path / "set/metadata.json").write_text(json.dumps(rows))
    assert texts(captioned(collecting.collect(["set"], tmp_path), "sidecar")) == ["a cat"]


def test_a_text_beside_a_video_counts_for_its_frames(tmp_path):
    film(tmp_path / "a.mp4", 5)
    (tmp_path / "a.txt").write_text("grey")
    assert texts(captioned(collecting.collect(["a.mp4"], tmp_path, every=2), "sidecar")) == ["grey"] * 3
    handles.close()


@pytest.mark.parametrize(
    ("file", "name"),
    (
        ("red_apple.png", "red apple"),
        ("0012_red-apple.png", "red apple"),
        ("red apple (3).jpg", "red apple"),
        ("red_apple_00012_.png", "red apple"),
        ("IMG_1234.jpg", "IMG"),
        ("12345.png", ""),
        ("mp3 player.png", "mp3 player"),
        ("a.b+c.png", "a b c"),
    ),
)
def test_a_name_is_words_without_its_counter(tmp_path, file, name):
    assert name_of(Item(tmp_path / file, 1, 1)) == name
    assert name_of(Item(tmp_path / "x.zip", 1, 1, member=f"in/{file}")) == name


def test_the_form_leaves_no_comma_behind_what_is_empty():
    assert Form().filled("a cat", "n", "l") == "a cat"
    assert Form("{label}, {caption}, {name}", trigger="sks").filled("", "red apple", "") == "sks, red apple"
    assert Form(prefix="photo of ", suffix=", sharp").filled("a {name}", "x", "") == "photo of a {name}, sharp"
    assert Form(trigger="sks").filled("", "", "") == "sks"
    assert Form("{other} {caption}").filled("a", "", "") == "{other} a"


def test_each_source_gives_its_own_and_keep_leaves_what_is_there(tmp_path):
    data = dataset(tmp_path, 3)
    (tmp_path / "001.txt").write_text("beside")
    assert texts(captioned(data, "sidecar")) == ["", "beside", ""]
    assert texts(captioned(data, "sidecar", keep=True)) == texts(data)
    assert texts(captioned(data, "label")) == ["class 0", "class 1", "class 2"]
    assert texts(captioned(data, "keep", Form(trigger="sks")))[0] == "sks, picture 0"
    assert texts(captioned(data, "lines", lines=["a", "b", "c"])) == ["a", "b", "c"]
    assert texts(captioned(data, "lines", lines=["all"])) == ["all"] * 3
    write(tmp_path / "named" / "green_tree_01.png", scene(0))
    other = collecting.collect(["named"], tmp_path)
    assert texts(captioned(other, "sidecar or name")) == texts(captioned(other, "name")) == ["green tree"]
    with pytest.raises(AigcError, match=r"one a picture \(3\), got 2"):
        captioned(data, "lines", lines=["a", "b"])
    with pytest.raises(AigcError, match="got 'nowhere'"):
        captioned(data, "nowhere")
    assert texts(data) == ["picture 0", "picture 1", "picture 2"], "what came in is as it was"


def test_the_shipped_set_has_a_caption_each(repo_root):
    named = collecting.shipped(repo_root / "models" / "data")
    data = captioned(collecting.collect(["pictograms"], repo_root, named=named), "sidecar")
    assert all(texts(data)) and texts(data)[0] == "ox"
    vocabulary = json.loads((repo_root / "models/pictogram/vocabulary.json").read_text("utf-8"))
    assert texts(data) == [entry["name"] for entry in vocabulary]
    assert captions.report(data).startswith("448 of 448 have a caption, ")


def blip(path) -> None:
    """A tiny BLIP of random weights: the real classes, with a vocabulary of its own."""
    import torch
    from transformers import (
        BertTokenizerFast,
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessor,
        BlipProcessor,
    )

    torch.manual_seed(0)
    path.mkdir(parents=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", *(f"word{i}" for i in range(26))]
    (path / "vocab.txt").write_text("\n".join(words))
    tokenizer = BertTokenizerFast(vocab=str(path / "vocab.txt"))
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**small, "vocab_size": 32, "bos_token_id": 5, "sep_token_id": 3, "eos_token_id": 3, "pad_token_id": 0,
            "encoder_hidden_size": 16, "initializer_range": 1.0}  # fmt: skip
    config = BlipConfig(text_config=text, vision_config={**small, "image_size": 32, "patch_size": 16})
    BlipForConditionalGeneration(config).save_pretrained(path)
    BlipProcessor(BlipImageProcessor(size={"height": 32, "width": 32}), tokenizer).save_pretrained(path)


def test_a_real_captioner_writes_the_same_each_time_and_as_transformers_does(tmp_path):
    blip(tmp_path / "judges" / "Salesforce--blip-image-captioning-base")
    roots = Roots(judges=(tmp_path / "judges",))
    path = captioner.folder_of("Salesforce/blip-image-captioning-base", roots)
    data = dataset(tmp_path / "set", 3)
    with captioner.captioning(path, Runtime("cpu"), most=6) as writer:
        found = captioned(data, "model", captioner=writer)
        assert texts(captioned(data, "model", captioner=writer)) == texts(found)
    assert all("word" in text for text in texts(found))
    from PIL import Image
    from transformers import BlipForConditionalGeneration, BlipProcessor

    model, processor = BlipForConditionalGeneration.from_pretrained(path), BlipProcessor.from_pretrained(path)
    given = processor(images=Image.open(data.items[1].path), return_tensors="pt")
    theirs = processor.decode(
        model.eval().generate(**given, max_new_tokens=6, do_sample=False)[0], skip_special_tokens=True
    )
    assert texts(found)[1] == " ".join(theirs.split())


def test_a_captioner_that_is_not_there_is_said_with_what_to_do(tmp_path):
    roots = Roots(judges=(tmp_path,), diffusers=(tmp_path,))
    with pytest.raises(AigcError, match="aigc models pull"):
        captioner.folder_of("Salesforce/blip-image-captioning-base", roots)
    with pytest.raises(AigcError, match="got an empty name"):
        captioner.folder_of(" ", roots)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(AigcError, match="takes pictures and writes text, got other"):
        captioner.opened(tmp_path / "other", None)


def test_an_interrupt_acts_within_one_picture(tmp_path):
    data, seen = dataset(tmp_path, 4), []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        captioned(data, "name", on_item=stop)
    assert seen == [0, 1] and np.all(np.diff(seen) == 1)
