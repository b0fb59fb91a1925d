"""The embedded model: loads offline with plain diffusers, is small, reads Chinese, draws what it is asked for."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from training.pictogram import captions, evaluate, recolour, settle, steady

MODEL = Path(__file__).resolve().parents[2] / "models" / "pictogram"


@pytest.fixture(scope="module")
def pipe():
    """One thread: on a busy machine a second one waits more than it works."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield evaluate.load(MODEL)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def concepts():
    return captions.load_concepts(MODEL / "vocabulary.json")


def test_folder_is_at_most_40_megabytes():
    assert sum(file.stat().st_size for file in MODEL.rglob("*") if file.is_file()) <= 40e6


def test_weights_are_safetensors_only():
    suffixes = {file.suffix for file in MODEL.rglob("*") if file.is_file()}
    assert suffixes <= {".safetensors", ".json", ".md", ".png"}
    assert len(list(MODEL.glob("*/*.safetensors"))) == 3


def test_chinese_and_emoji_tokenise_losslessly(pipe, concepts):
    for concept in concepts:
        for text in (concept.name_zh, concept.emoji, f"蓝色的{concept.name_zh}"):
            ids = pipe.tokenizer(text).input_ids
            assert pipe.tokenizer.unk_token_id not in ids[1:-1]
            plain = text.replace("\ufe0f", "").lower()
            assert pipe.tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "") == plain
    assert pipe.tokenizer.model_max_length == captions.LENGTH


def test_foreign_words_take_no_kept_word_from_its_place():
    tokens, places = steady.disturb([[5], [6, 7]], [[90, 91]], random.Random(3))
    assert sorted(tokens) == [5, 6, 7, 90, 91] and [t for t, place in zip(tokens, places) if place == 0] == [90, 91]
    assert {t: place for t, place in zip(tokens, places) if place} == {5: 1, 6: 2, 7: 3}


@pytest.fixture
def pairs(pipe, tmp_path, concepts):
    """Every concept once, and those of one hue in every colour."""
    single = [concept.id for concept in concepts if concept.own_colour]
    colours = np.repeat(np.arange(len(recolour.COLOURS)), len(single))
    concept = np.concatenate([np.arange(len(concepts)), np.tile(single, len(recolour.COLOURS))])
    np.savez(tmp_path / "pictures.npz", concept=concept, colour=np.concatenate([np.full(len(concepts), -1), colours]))
    shutil.copy(MODEL / "vocabulary.json", tmp_path)
    return steady.Pairs(tmp_path, pipe.tokenizer, random.Random(0))


def test_empty_captions_are_imitated_as_they_are(pairs):
    empty = pairs.padded([])
    rows = [row for row in (pairs.draw() for _ in range(600)) if row[0] == empty]
    assert 10 <= len(rows) <= 60
    assert all(noisy == empty and places == list(range(captions.LENGTH)) for _, noisy, places in rows)


def test_the_last_stretch_meets_strange_words_and_no_held_out_pair(pairs, concepts):
    found = [settle.drawn(pairs) for _ in range(600)]
    assert 0.05 < sum(not text for _, text in found) / 600 < 0.15
    assert 0.4 < sum(index >= len(concepts) for index, _ in found) / 600 < 0.6
    forbidden = {f"{colour.name} {concept.noun()}".lower() for concept, colour in evaluate.held_out_pairs(concepts)}
    assert forbidden and not {text.lower() for _, text in found} & forbidden


def test_held_out_pairs_are_never_captioned(concepts):
    pairs = evaluate.held_out_pairs(concepts)
    assert len(pairs) >= 25
    forbidden = {f"{colour.name} {concept.noun()}".lower() for concept, colour in pairs}
    for concept, colour in pairs:
        with pytest.raises(ValueError, match="held-out"):
            captions.coloured(concept, colour, random.Random(0))
    dice = random.Random(0)
    names = [colour.name for colour in recolour.COLOURS]
    own = [names.index(concept.own_colour) if concept.own_colour else -1 for concept in concepts]
    drawn = {captions.caption(concept, -1, own[concept.id], dice).lower() for concept in concepts for _ in range(20)}
    assert not drawn & forbidden


def test_latents_have_about_unit_variance(pipe):
    tiles = evaluate.references(MODEL)[:64]
    pixels = torch.from_numpy(tiles.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1
    pixels = torch.nn.functional.interpolate(pixels, size=(128, 128), mode="bilinear")
    with torch.no_grad():
        latents = pipe.vae.encode(pixels).latents * pipe.vae.config.scaling_factor
        decoded = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
    assert 0.6 < latents.std() < 1.5
    assert (decoded - pixels).square().mean() < 0.08


def test_the_vocabulary_is_of_useful_size(concepts):
    assert len(concepts) >= 400
    assert len({concept.name for concept in concepts}) == len(concepts)


@pytest.mark.parametrize("language", ("name", "name_zh"))
def test_pictures_are_nearest_to_their_own_reference_among_all(pipe, concepts, language):
    """Every ninth concept, in English and in Chinese; `evaluate.py` measures all of them."""
    chosen = concepts[::9]
    wanted = [concept.id for concept in chosen]
    pictures = evaluate.generate(pipe, [getattr(concept, language) for concept in chosen], wanted)
    rank = evaluate.ranks(pictures, wanted, evaluate.references(MODEL)[: len(concepts)])
    assert (rank < 1).mean() >= 0.9
    assert (rank < 5).mean() >= 0.95


@pytest.mark.parametrize(("prefix", "name", "least"), [("a gigantic ", "name", 0.85), ("巨大的", "name_zh", 0.9)])
def test_words_that_it_never_met_are_passed_over(pipe, concepts, prefix, name, least):
    """Every ninth concept; "gigantic" is made of tokens that are words of their own."""
    chosen = concepts[::9]
    wanted = [concept.id for concept in chosen]
    pictures = evaluate.generate(pipe, [prefix + getattr(concept, name) for concept in chosen], wanted)
    rank = evaluate.ranks(pictures, wanted, evaluate.references(MODEL)[: len(concepts)])
    assert (rank < 1).mean() >= least


def test_colour_words_are_obeyed_for_pairs_that_training_never_saw(pipe, concepts):
    pairs = evaluate.held_out_pairs(concepts)[::4]
    prompts = [f"{colour.name} {concept.noun()}" for concept, colour in pairs]
    pictures = evaluate.generate(pipe, prompts, [concept.id for concept, _ in pairs])
    obeyed = [recolour.obeys(picture, colour) for picture, (_, colour) in zip(pictures, pairs, strict=True)]
    assert sum(obeyed) >= 0.95 * len(pairs)


def test_a_seed_gives_the_same_picture_in_any_batch(pipe):
    batch = evaluate.generate(pipe, ["cat", "dog"], [1, 2], steps=4)
    single = evaluate.generate(pipe, ["dog"], [2], steps=4)
    assert abs(batch[1].astype(int) - single[0].astype(int)).max() <= 1


def test_spread_tells_seeds_from_prompts():
    pictures = np.zeros((2, 3, 4, 4, 3), np.uint8)
    pictures[0] += 10
    pictures[:, 1] += 3
    seeds, prompts = evaluate.spread(pictures)
    assert seeds == pytest.approx(2.0) and prompts == pytest.approx(10.0), "of three pairs of seeds two differ by 3"
