# Long: one test a workflow, and what they share
"""Every shipped workflow, converted as the command line does it and run on the real host."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load

from headless.convert import convert
from headless.overrides import apply_overrides
from pipelines.media.loudness import integrated, true_peak
from pipelines.runtime import Runtime
from pipelines.score.scoring import score

from ..nodes.canvas import Run, fetch, images, query, run
from ..pipelines.chat_server import serving, words
from ..pipelines.judges import judge_file

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "workflows").glob("*.json"))
TINY = {"Prompt.prompt": "a cat", "Sample.steps": "2"}


def stem(path: Path) -> str:
    return path.stem


@pytest.fixture
def do(url, tiny):
    """Convert a workflow, fill in what a user would choose, run it; the result and the prompt's ids by title."""

    def call(name: str, settings: dict[str, str], more: Callable[[dict, dict], None] | None = None) -> tuple:
        info = fetch(url, "/object_info")
        prompt = convert(json.loads((ROOT / "workflows" / f"{name}.json").read_text("utf-8")), info)
        apply_overrides(prompt, [f"{key}={value}" for key, value in settings.items()], info)
        ids = {node["_meta"]["title"]: id for id, node in prompt.items()}
        if more is not None:
            more(prompt, ids)
        result = run(url, prompt)
        assert result.refused is None, result.refused
        assert result.error == ""
        return result, ids

    return call


def test_text_to_image_runs_as_it_is(do, url):
    result, ids = do("text_to_image", {})
    (picture,) = images(url, result, ids["Save"])
    assert picture.std() > 5
    assert "parameters" in result.outputs[ids["Info"]]["text"][0]


def test_image_to_image_runs_as_it_is_and_changes_the_picture(do, url):
    result, ids = do("image_to_image", {})
    first, second = images(url, result, ids["First Picture"])[0], images(url, result, ids["Save"])[0]
    assert first.shape == second.shape and not np.array_equal(first, second)


def test_inpaint_runs_as_it_is_and_draws_only_the_right_half_anew(do, url):
    result, ids = do("inpaint", {})
    first, second = (images(url, result, ids[t])[0].astype(float) for t in ("First Picture", "Save"))
    change, middle = np.abs(first - second).mean(-1), first.shape[1] // 2
    # The border is the autoencoder's: its decoder looks a cell and a half to each side.
    assert change[:, : middle - 24].mean() < 8 and change[:, middle + 24 :].mean() > 20


def test_outpaint_runs_as_it_is_and_draws_what_was_cut_off(do, url):
    result, ids = do("outpaint", {})
    first, second = (images(url, result, ids[t])[0].astype(float) for t in ("First Picture", "Save"))
    middle = first.shape[1] // 2
    assert second.shape == first.shape, "the half that was kept, widened again"
    assert np.abs(first - second).mean(-1)[:, : middle - 24].mean() < 8
    assert (second[:, middle + 8 :] < 200).mean() > 0.05, "something is drawn there"


def test_write_prompt_draws_what_it_says_and_writes_for_other_models(do, url):
    result, ids = do("write_prompt", {})
    (picture,) = images(url, result, ids["Save"])
    assert picture.std() > 5
    said = {title: result.outputs[ids[title]]["text"][0] for title in ("Write", "For SDXL", "For Wan, in Chinese")}
    assert said["Write"] == "a big blue whale\n\nThe pictogram model knows: whale in blue; it passes over other words."
    assert said["For SDXL"].startswith("a big blue whale, ") and "illustration" in said["For SDXL"]
    assert said["For Wan, in Chinese"].startswith("一只在窗台上打盹的橘猫。")


def test_generate_text_shows_its_words_as_they_come_and_writes_lines(do):
    with serving(words("Light", " on the", " water.")) as server:
        where = {
            f"{title}.endpoint": server.address for title in ("Generate", "Slogan", "Character", "Prompt for FLUX")
        }
        result, ids = do("generate_text", where)
        prompts = [sent["messages"][-1]["content"] for _, _, sent in server.asked]
    assert "Write two sentences about a lighthouse." in prompts and "an old ferryman" in prompts
    shown = {title: result.outputs[id]["text"][0] for title, id in ids.items() if title != "Note"}
    assert shown["Generate"] == "Light on the water." and shown["Slogan"].startswith("Light on the water.\n")
    assert shown["Prompt for FLUX"].startswith("lighthouse in a storm")
    assert len(shown["Scenes"].splitlines()) == 6
    live = [message["text"] for message in result.of("aigc_text") if message["node"] == ids["Generate"]]
    assert live and live[-1] == "Light on the water."


def test_download_model_runs_as_it_is_without_a_network(do, url):
    result, ids = do("download_model", {})
    (picture,) = images(url, result, ids["Save"])
    assert picture.std() > 5
    assert "source: embedded:pictogram" in result.outputs[ids["Info"]]["text"][0]


def test_walk_prompts_makes_a_clip_whose_prompts_are_their_frames(do, url):
    few = {"Walk between prompts.frames": "6", "Walk between seeds.frames": "6", "Sample.steps": "6"}
    result, ids = do("walk_prompts", few)
    frames = [frame.astype(float) for frame in images(url, result, ids["Every frame"])]
    (file,) = result.outputs[ids["Save"]]["images"]
    with av.open(io.BytesIO(fetch(url, f"/view?{query(file)}"))) as video:
        assert video.streams.video[0].average_rate == 12
        saved = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) == len(saved) == 6 and saved[0].shape == (128, 128, 3)
    heart, ball, pizza = frames[::2]
    assert heart[40:80, 40:80, 0].mean() > heart[40:80, 40:80, 2].mean() + 60, "red"
    between = [np.abs(a - b).mean() for a, b in combinations((heart, ball, pizza), 2)]
    assert min(between) > 20


def test_animate_makes_a_clip_of_each_still_that_moves(do, url):
    result, ids = do("animate", {"Motion.frames": "4", "Draw.steps": "8"})
    frames = [frame.astype(float) for frame in images(url, result, ids["Every frame"])]
    (file,) = result.outputs[ids["Save"]]["images"]
    with av.open(io.BytesIO(fetch(url, f"/view?{query(file)}"))) as video:
        assert sum(1 for _ in video.decode(video=0)) == len(frames) == 12, "three stills of four frames"
    for clip in (frames[:4], frames[4:8], frames[8:]):
        middles = [np.nonzero((frame.min(-1) < 200).any(1))[0].mean() for frame in clip]
        assert middles[0] - min(middles) > 15, "it jumps"


def test_sound_tools_reaches_its_loudness_and_draws_it(do, url):
    result, ids = do("sound_tools", {})
    (file,) = result.outputs[ids["Save"]]["audio"]
    with av.open(io.BytesIO(fetch(url, f"/view?{query(file)}"))) as saved:
        rate = saved.streams.audio[0].rate
        parts = [frame.to_ndarray() for frame in saved.decode(audio=0)]
    x = torch.from_numpy(np.concatenate(parts, axis=1).astype(np.float32) / 2 ** (8 * parts[0].itemsize - 1))
    assert x.shape[1] == 8 * rate
    assert integrated(x, rate) == pytest.approx(-14, abs=0.1) and true_peak(x, rate) <= -1
    assert "-14.0 LUFS" in result.outputs[ids["How loud it is"]]["text"][0]
    assert "the others 14 dB lower" in result.outputs[ids["What the mix did"]]["text"][0]
    (picture,) = images(url, result, ids["The mix"])
    assert picture.shape == (400, 1024, 3) and picture.std() > 20


def test_prompt_sweep_makes_one_picture_a_line(do, url):
    result, ids = do("prompt_sweep", {})
    assert len(images(url, result, ids["Save"])) == 8


def test_lora_makes_two_pictures_that_differ_until_the_strength_is_0(do, url, tiny_lora):
    small = {**TINY, "Model.model": "tiny/sd15", "LoRA.lora": tiny_lora, "Sample with LoRA.steps": "2"}
    for strength, equal in (("1", False), ("0", True)):
        result, ids = do("lora", {**small, "LoRA.strength": strength})
        pair = [images(url, result, ids[title])[0] for title in ("Save without LoRA", "Save with LoRA")]
        assert np.array_equal(*pair) is equal


def test_guider_calms_a_cfg_that_is_too_high(do, url):
    result, ids = do("guider", {})
    plain, guided = (images(url, result, ids[t])[0].astype(float) for t in ("Save without guider", "Save with guider"))
    assert np.abs(np.diff(guided, axis=1)).mean() < 0.6 * np.abs(np.diff(plain, axis=1)).mean(), "speckles are gone"


def test_best_of_keeps_three_of_eight_and_shows_where_they_look_wrong(do, url):
    result, ids = do("best_of", {})
    kept, faults = images(url, result, ids["Save"]), images(url, result, ids["Faults"])
    rows = result.outputs[ids["Score"]]["aigc_scores"]
    assert (len(kept), len(faults), len(rows)) == (3, 3, 8)
    assert rows[0]["prompt"] == "red apple" and all(0 <= row["probability"] <= 1 for row in rows)
    redder = [np.abs(a.astype(int) - b).max() for a, b in zip(kept, faults)]
    assert min(redder) > 40


def test_compare_two_models_shows_figures_scores_and_a_verdict(do):
    result, ids = do("compare_two_models", {"Sample plain.steps": "2", "Sample with LoRA.steps": "2"})
    said = result.outputs[ids["Compare"]]["text"][0]
    assert "12 real ones against 12 generated ones" in said and "FID" in said
    assert "paired by seed" in result.outputs[ids["Panel"]]["text"][0]
    names = ("Score plain", "Score with LoRA", "Other score plain", "Other score with LoRA")
    assert [len(result.outputs[ids[name]]["aigc_scores"]) for name in names] == [12] * 4


def test_gate_and_save_parts_the_eight_and_writes_the_scores_into_the_pictures(do, url):
    result, ids = do("gate_and_save", {})
    rows, kept = result.outputs[ids["Score"]]["aigc_scores"], result.outputs[ids["Save"]]["aigc_scores"]
    left = result.outputs.get(ids["Left out"], {"images": []})["images"]
    assert len(rows) == 8 == len(kept) + len(left) and 0 < len(kept)
    passed = [row for row in rows if row["percentile"] >= 4]
    assert not passed or [row["seed"] for row in kept] == [row["seed"] for row in passed]
    assert len(images(url, result, ids["Save"])) == len(kept)


def test_judge_video_takes_the_walk_in_order_for_calmer_than_the_mixed_one(do, url):
    result, ids = do("judge_video", {"Sample in order.steps": "6", "Sample mixed up.steps": "6"})
    for name in ("Flicker", "Smoothness", "Consistency"):
        calm, wild = (result.outputs[ids[f"{name} {kind}"]]["aigc_scores"] for kind in ("in order", "mixed up"))
        assert len(calm) == len(wild) == 1 and calm[0]["score"] > wild[0]["score"], name
    assert len(images(url, result, ids["Frames in order"])) == 7


def test_combine_judges_says_how_good_each_is_and_keeps_half(do, url):
    result, ids = do("combine_judges", {"Sample good.steps": "2", "Sample burnt.steps": "2"})
    for name in ("Calibrate 1", "Calibrate 2"):
        assert "12 real and 12 generated" in result.outputs[ids[name]]["text"][0]
    assert len(result.outputs[ids["Score"]]["aigc_scores"]) == 24
    assert len(images(url, result, ids["Best twelve"])) == 12


def test_score_folder_scores_the_input_folder(do, url, example_picture):
    result, ids = do("score_folder", {})
    assert example_picture in result.outputs[ids["Folder"]]["text"][0]
    assert len(images(url, result, ids["Best"])) >= 1


def test_collect_and_clean_shows_what_is_left_out_of_the_shipped_set_and_why(do, url):
    result, ids = do("collect_and_clean", {})
    assert result.outputs[ids["Clean"]]["text"][0].startswith("kept 442 of 448; left out 6: ")
    assert "near-duplicate of 091_tiger.png" in result.outputs[ids["Report"]]["text"][0]
    assert "442 of 442 have a caption" in result.outputs[ids["Caption"]]["text"][0]
    assert "64 x 64: 442" in result.outputs[ids["Bucket"]]["text"][0]
    sheets = [images(url, result, ids[title])[0] for title in ("Left out", "Kept", "Buckets")]
    assert all(sheet.shape[1] == 968 and sheet.std() > 20 for sheet in sheets)


def test_best_of_16_keeps_four_and_says_who_was_dropped(do, url):
    result, ids = do("best_of_16", {"Best of 16.steps": "4"})
    assert len(images(url, result, ids["Best First"])) == 4
    report = result.outputs[ids["Report"]]["text"][0]
    assert report.startswith("Best 4 of 16 a prompt by pictogram") and "out: " in report


def test_steer_and_search_make_particles_and_a_find(do, url):
    small = {"Steer.steps": "4", "Search.steps": "2", "Search.budget": "4", "Search.each_round": "2"}
    result, ids = do("steer_and_search", small)
    assert len(images(url, result, ids["All Particles"])) == 4 and len(images(url, result, ids["Save"])) == 1
    assert "different ancestors" in result.outputs[ids["Steering Report"]]["text"][0]
    assert "round 2 of 2" in result.outputs[ids["Search Report"]]["text"][0]


SMALL = {**TINY, "Model.model": "tiny/sd15", "Size.width": "32", "Size.height": "32"}


def test_control_follows_the_picture_until_its_strength_is_0(do, url, tiny_control, example_picture):
    plain, ids = do("text_to_image", {**SMALL, "Sample.cfg": "7"})
    before = images(url, plain, ids["Save"])[0]
    for strength, equal in (("1", False), ("0", True)):
        result, ids = do("control", {**SMALL, "Control.control_net": tiny_control, "Control.strength": strength})
        assert np.array_equal(images(url, result, ids["Save"])[0], before) is equal


def test_reference_takes_over_until_its_strength_is_0(do, url, tiny_reference, example_picture):
    names = {"Reference.adapter": tiny_reference[0], "Reference.image_encoder": tiny_reference[1]}
    plain, ids = do("text_to_image", {**SMALL, "Sample.cfg": "7"})
    before = images(url, plain, ids["Save"])[0]
    for strength, equal in (("1", False), ("0", True)):
        result, ids = do("reference", {**SMALL, **names, "Reference.strength": strength})
        assert np.array_equal(images(url, result, ids["Save"])[0], before) is equal


def test_parts_come_from_files_of_their_own(do, url, part_files):
    size = {"Size.width": "32", "Size.height": "32"}
    encoder, unet = part_files["text_encoder"], part_files["unet"]
    parts = {"CLIP.part": "text_encoder", "CLIP.file": encoder, "T5.part": "unet", "T5.file": unet}
    pictures = {}
    for vae in ("vae", "other"):
        settings = {**TINY, **size, **parts, "Model.model": "tiny/sd15", "VAE.file": part_files[vae]}
        result, ids = do("flux_from_parts", settings)
        pictures[vae] = images(url, result, ids["Save"])[0]
    plain, ids = do("text_to_image", {**TINY, **size, "Model.model": "tiny/sd15", "Sample.cfg": "3.5",
                                      "Prompt.guided": "false"})  # fmt: skip
    assert np.array_equal(pictures["vae"], images(url, plain, ids["Save"])[0])
    assert not np.array_equal(pictures["other"], pictures["vae"])


def test_the_hosts_vae_decodes_our_latents(do, url, full_size_vae):
    small = {**TINY, "Model.model": "tiny/full-vae", "Size.width": "64", "Size.height": "64"}
    result, ids = do("sample_to_host_vae", {**small, "Host VAE.vae_name": full_size_vae})
    host = images(url, result, ids["Save"])[0]
    assert host.shape == (64, 64, 3) and host.std() > 0


def test_our_decoder_takes_the_latents_of_the_hosts_sampler(do, url, host_checkpoint):
    settings = {"Model.model": "tiny/sd15", "Host Checkpoint.ckpt_name": host_checkpoint, "Host Sample.steps": "1"}
    result, ids = do("host_ksampler_to_decode", {**settings, "Size.width": "64", "Size.height": "64"})
    # 64 px are 8 cells for the host's autoencoder; the tiny one makes 2 px of a cell.
    assert images(url, result, ids["Save"])[0].shape == (16, 16, 3)


def test_train_judge_trains_one_and_guides_by_it(do, url, models_folder):
    few = "\n".join(["red apple", "snowman", "guitar", "rocket"] * 6)
    settings = {"Training prompts.prompt": few, "Finished.steps": "6", "Train.sample_steps": "1", "Train.count": "24",
                "Train.steps": "60"}  # fmt: skip
    result, ids = do("train_judge", {**settings, "Train.name": "hurried", "Train.minutes": "2"})
    assert "held-out AUC" in result.outputs[ids["Train"]]["text"][0] and result.previews > 0
    assert (models_folder / "judges" / "hurried.safetensors").is_file()
    plain, guided = (images(url, result, ids[title]) for title in ("Plain", "Guided"))
    assert len(plain) == len(guided) == 8 and not np.array_equal(plain[0], guided[0])
    assert len(result.outputs[ids["Score guided"]]["aigc_scores"]) == 8
    assert images(url, result, ids["Curve"])[0].shape == (360, 640, 3)


def test_train_lora_makes_a_file_that_the_host_lists_and_draws_other_pictures_with_it(do, url, models_folder, tmp_path):
    for i, name in enumerate(("cat", "dog", "tiger", "rocket")):
        pixels = np.random.RandomState(i).randint(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    settings = {"Collect.folder": str(tmp_path), "Train.name": "hurried lora", "Train.steps": "2", "Train.batch": "2"}
    few = {"Train.examine_every": "0", "Sample without.steps": "2", "Sample with LoRA.steps": "2"}
    result, ids = do("train_lora", {**settings, **few})
    assert "2 of 2 steps" in result.outputs[ids["Train"]]["text"][0] and result.previews > 0
    assert (models_folder / "loras" / "hurried lora.safetensors").is_file()
    listed = fetch(url, "/object_info/LoraLoaderModelOnly")["LoraLoaderModelOnly"]["input"]["required"]["lora_name"][0]
    assert "hurried lora.safetensors" in listed
    plain, taught = (images(url, result, ids[title]) for title in ("Save without LoRA", "Save with LoRA"))
    assert len(plain) == len(taught) == 4 and not np.array_equal(plain[0], taught[0])
    assert len(images(url, result, ids["Samples"])) == 4


def test_repair_draws_only_a_part_of_each_picture_anew(do, url):
    result, ids = do("repair", {})
    before, after = (images(url, result, ids[title]) for title in ("First", "Save"))
    changed = [np.abs(a.astype(float) - b).mean(-1) > 24 for a, b in zip(before, after)]
    assert len(before) == len(after) == 8 and all(0 < part.mean() < 0.75 for part in changed)
    scores = [result.outputs[ids[title]]["aigc_scores"] for title in ("Score before", "Score after")]
    means = [sum(row["score"] for row in rows) / 8 for rows in scores]
    assert means[1] > means[0], "what the judge found wrong is better now"


def test_an_ordinary_ksampler_workflow_is_judged_and_the_best_two_are_saved(do, url, host_checkpoint):
    small = {"Size.width": "64", "Size.height": "64", "Size.batch_size": "3", "Host Sample.steps": "1"}
    result, ids = do("judge_ksampler", {**small, "Host Checkpoint.ckpt_name": host_checkpoint})
    assert len(images(url, result, ids["Save"])) == 2 and len(images(url, result, ids["Left out"])) == 1
    assert len(result.outputs[ids["Score"]]["aigc_scores"]) == 3


def test_the_hosts_ksampler_is_guided_by_a_judge_of_its_latents(do, url, host_checkpoint, full_size_vae, models_folder):
    judge = judge_file(models_folder / "judges" / "small.safetensors", scale=0.18215)

    def kept(prompt: dict, ids: dict) -> None:
        # The checkpoint's own autoencoder is all zeros and would show the same picture for everything.
        prompt["vae"] = {"class_type": "VAELoader", "inputs": {"vae_name": full_size_vae}}
        for kind in ("plain", "guided"):
            prompt[ids[f"Decode {kind}"]]["inputs"]["vae"] = ["vae", 0]
            wires = {"samples": [ids[f"Host Sample {kind}"], 0], "filename_prefix": kind}
            prompt[kind] = {"class_type": "SaveLatent", "inputs": wires}

    small = {"Size.width": "64", "Size.height": "64", "Size.batch_size": "2"}
    # Half-way down the schedule the noise is one that the judge knows.
    numbers = {
        f"Host Sample {kind}.{k}": v
        for kind in ("plain", "guided")
        for k, v in (("steps", "2"), ("denoise", "0.4"), ("cfg", "1"))
    }
    names = {"Host Checkpoint.ckpt_name": host_checkpoint, "Judge.discriminator": "small"}
    for weight in ("0", "20"):
        result, ids = do("guide_ksampler", {**small, **numbers, **names, "Guide.weight": weight}, kept)
        latents = [load(fetch(url, f"/view?{query(result.outputs[kind]['latents'][0])}"))["latent_tensor"]
                   for kind in ("plain", "guided")]  # fmt: skip
        pictures = [images(url, result, ids[title]) for title in ("Save plain", "Save guided")]
        assert torch.equal(*latents) is (weight == "0")
        assert np.array_equal(pictures[0], pictures[1]) is (weight == "0") and pictures[0][0].shape == (64, 64, 3)
    before, after = (score(judge, {"samples": x}, runtime=Runtime("cpu")).values for x in latents)
    assert all(a < b for a, b in zip(before, after)), (before, after)


def test_gan_styles_samples_mixes_walks_edits_finds_and_chooses(do, url, tiny_gan):
    result, ids = do("gan_styles", {"GAN.gan": tiny_gan, "Walk.frames": "6", "Find.steps": "5"})
    made = {title: images(url, result, ids[title]) for title in ("Save", "Mixed", "Edited", "Chosen", "Found")}
    assert {title: len(pictures) for title, pictures in made.items()} == {
        "Save": 4, "Mixed": 4, "Edited": 4, "Chosen": 4, "Found": 1,
    }  # fmt: skip
    assert not any(np.array_equal(a, b) for a, b in zip(made["Save"], made["Mixed"]))
    assert result.outputs[ids["Save walk"]]["images"][0]["filename"].endswith(".mp4")
    assert "PSNR" in result.outputs[ids["Find"]]["text"][0]


def test_the_loop_trains_goes_on_when_run_again_and_draws(do, url):
    short = {
        "1 Clean.min_side": "32",
        "3 - 7 Train.steps": "4",
        "3 - 7 Train.examine_every": "2",
        "3 - 7 Train.batch": "8",
    }
    result, ids = do("the_loop", short)
    report = result.outputs[ids["Report"]]["text"][0]
    assert report.startswith("the loop: 4 of 4 steps") and "held-out KID" in report
    assert "million weights" in result.outputs[ids["Weights"]]["text"][0]
    shown = {
        title: images(url, result, ids[title]) for title in ("Samples while training", "Curves", "Best by its own D")
    }
    assert {title: len(pictures) for title, pictures in shown.items()} == {
        "Samples while training": 64, "Curves": 1, "Best by its own D": 9,
    }  # fmt: skip
    result, ids = do("the_loop", {**short, "3 - 7 Train.steps": "6"})
    assert result.outputs[ids["Report"]]["text"][0].startswith("the loop: 6 of 6 steps")


def test_train_pictogram_names_denoises_and_draws(do, url, forty):
    short = {"Collect.folder": str(forty), "Architecture.widths": "16, 32", "Train.batch": "4", "Sample.steps": "2"}
    short |= {"Train.steps": "4", "Train.naming_steps": "2", "Train.examine_every": "0"}
    result, ids = do("train_pictogram", short)
    report = result.outputs[ids["Report"]]["text"][0]
    assert report.startswith("pictogram: 4 of 4 steps") and "trained pictures' denoising loss" in report
    assert "text encoder at most" in result.outputs[ids["Weights"]]["text"][0]
    shown = {title: images(url, result, ids[title]) for title in ("16 captions of the training", "What it draws")}
    assert {title: len(pictures) for title, pictures in shown.items()} == {
        "16 captions of the training": 16, "What it draws": 4,
    }  # fmt: skip
    assert shown["What it draws"][0].shape[:2] == (128, 128)


def test_train_vae_shows_both_terms_and_copies(do, url, forty):
    short = {"Collect.folder": str(forty), "Train.steps": "2", "Train.examine_every": "0"}
    result, ids = do("train_vae", short)
    report = result.outputs[ids["Report"]]["text"][0]
    assert report.startswith("my vae: 2 of 2 steps") and "nats of KL" in report
    assert "8 x 8 x 8" in result.outputs[ids["Weights"]]["text"][0]
    assert images(url, result, ids["Held-out pictures and their copies"])[0].shape[:2] == (128, 128)


def test_train_faces_saves_a_gan_that_draws(do, url, forty):
    short = {"Collect.folder": str(forty), "Train.steps": "2", "Train.examine_every": "0", "Train.batch": "4"}
    result, ids = do("train_faces", short)
    assert result.outputs[ids["Report"]]["text"][0].startswith("faces: 2 of 2 steps")
    assert result.outputs[ids["Save"]]["text"] == ["faces.safetensors"]
    assert len(images(url, result, ids["16 faces"])) == 16


def test_compare_trainings_resumes_one_and_lists_the_best_first(do, url):
    short = {f"{title}.{name}": value for title in ("Relativistic", "Non-saturating") for name, value in
             (("steps", "2"), ("examine_every", "2"), ("batch", "8"))}  # fmt: skip
    result, ids = do("compare_trainings", {**short, "Resume the first.more_steps": "2"})
    lines = result.outputs[ids["Best first"]]["text"][0].splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == ["non-saturating", "relativistic"]
    steps = {line.partition(":")[0]: line for line in lines}
    assert "4 steps" in steps["relativistic"] and "2 steps" in steps["non-saturating"]
    assert len(images(url, result, ids["Curves"])) == 1


def test_text_to_video_saves_a_video(do):
    size = {"Size.width": "64", "Size.height": "64", "Size.frames": "5"}
    result, ids = do("text_to_video", {**TINY, **size, "Model.model": "tiny/wan"})
    assert result.outputs[ids["Save"]]["images"][0]["filename"].endswith(".mp4")


def test_text_to_audio_saves_a_sound(do):
    result, ids = do("text_to_audio", {**TINY, "Model.model": "tiny/stableaudio", "Length.seconds": "0"})
    assert result.outputs[ids["Save"]]["audio"][0]["filename"].endswith(".flac")


def test_song_sings_and_makes_a_part_anew(do, url):
    short = {"Length.seconds": "1", "Sample.steps": "2", "Repaint.steps": "2", "Other words.start_seconds": "0.4",
             "Other words.end_seconds": "0.8"}  # fmt: skip
    result, ids = do("song", {**short, "Model.model": "tiny/acestep"})
    (first, rate), (second, _) = (heard(url, result, ids[name]) for name in ("Save", "Save the repainted"))
    assert first.shape == second.shape == (2, rate) and rate == 8000
    assert not np.array_equal(first, second)


def test_vary_sound_makes_another_of_a_tune(do, url):
    short = {"Tune.seconds": "2", "Tune.bars": "1", "Tune.sound": "strings by formula", "Vary.steps": "2"}
    result, ids = do("vary_sound", {"Prompt.prompt": "a cat", **short, "Model.model": "tiny/acestep"})
    (varied, rate), (tune, before) = (heard(url, result, ids[name]) for name in ("Save", "Before"))
    assert varied.shape[1] / rate == pytest.approx(tune.shape[1] / before, abs=0.01) and varied.std() > 0


def test_storyboard_sets_each_line_below_its_picture(do, url):
    result, ids = do("storyboard", {"Scenes.value": "a penguin\na whale, far out at sea", "Draw.steps": "2"})
    pictures = images(url, result, ids["Board"])
    assert len(pictures) == 2 and pictures[0].shape[1] == 384 and pictures[0].shape[0] > 384
    assert not np.array_equal(pictures[0][384:], pictures[1][384:])


def test_speak_saves_both_paragraphs_as_one_sound(do, url, speech_packages):
    import av

    result, ids = do("speak", {})
    (file,) = result.outputs[ids["Save"]]["audio"]
    with av.open(io.BytesIO(fetch(url, f"/view?{query(file)}"))) as opened:
        sound = np.concatenate([frame.to_ndarray() for frame in opened.decode(audio=0)], 1)
        assert opened.streams.audio[0].rate == 24000
    loud = np.abs(sound[0].astype(float)) > 0.01 * np.abs(sound).max()
    pauses = np.diff(np.flatnonzero(loud)) / 24000
    assert sound.shape[1] > 24000 and 0.5 < pauses.max() < 0.8, "the empty line is a pause"


def test_compose_music_makes_two_sounds_and_keeps_the_opening(do, url):
    import av

    short = {f"{title}.{name}": value for title in ("Compose", "Go on") for name, value in
             (("bars", "4"), ("sound", "strings by formula"))}  # fmt: skip
    result, ids = do("compose_music", short)
    for title in ("Save waltz", "Save reel"):
        (file,) = result.outputs[ids[title]]["audio"]
        with av.open(io.BytesIO(fetch(url, f"/view?{query(file)}"))) as opened:
            sound = np.concatenate([frame.to_ndarray() for frame in opened.decode(audio=0)], 1)
            assert opened.streams.audio[0].rate == 44100 and np.abs(sound).max() > 0.5 * np.iinfo(sound.dtype).max
    assert "waltz in D major, 3/4" in result.outputs[ids["Compose"]]["text"][0]
    (melody,) = result.outputs[ids["Melody of the reel"]]["text"]
    assert "K:G" in melody and "G2 G A B A G B | c2 c d c B A G |" in melody
    assert len(images(url, result, ids["What sounds when"])) == 1


def heard(url: str, result: Run, node: str) -> tuple[np.ndarray, int]:
    """A saved sound [C, T] in -1..1, and its rate."""
    (file,) = result.outputs[node]["audio"]
    with av.open(io.BytesIO(fetch(url, f"/view?{query(file)}"))) as opened:
        stream = opened.streams.audio[0]
        parts = np.concatenate([frame.to_ndarray() for frame in opened.decode(audio=0)], 1)
        wide = parts.reshape(-1, stream.channels).T.astype(float)  # FLAC's frames are interleaved
    return wide / 2 ** (8 * parts.itemsize - 1), stream.rate


def shown(url: str, result: Run, node: str) -> tuple[list[np.ndarray], float, float]:
    """Frames of a saved video, and how many seconds its pictures and its sound last."""
    (file,) = result.outputs[node]["images"]
    data = fetch(url, f"/view?{query(file)}")
    with av.open(io.BytesIO(data)) as opened:
        video, audio = opened.streams.video[0], opened.streams.audio[0]
        seen, sounding = (float(stream.duration * stream.time_base) for stream in (video, audio))
        frames = [frame.to_ndarray(format="rgb24").astype(float) for frame in opened.decode(video=0)]
        assert len(frames) / video.average_rate == pytest.approx(seen)
    return frames, seen, sounding


def test_marketing_kit_makes_a_poster_a_voice_a_jingle_and_six_seconds_of_clip(do, url, speech_packages):
    graph = json.loads((ROOT / "workflows" / "marketing_kit.json").read_text("utf-8"))
    shipped = {node["title"]: node["widgets_values"] for node in graph["nodes"]}
    assert shipped["Walk"][0] / shipped["Video"][0] == shipped["Six seconds"][1] == 6
    fewer = {"Walk.frames": "12", "Video.fps": "2", "Draw.steps": "2", "Draw the clip.steps": "2"}
    result, ids = do("marketing_kit", {**fewer, "Jingle.sound": "strings by formula"})
    assert result.outputs[ids["Slogan"]]["text"][0].startswith("One cup, and the day is yours.")
    (poster,) = images(url, result, ids["Poster"])
    strip = poster[768:].astype(float)
    assert poster.shape[1] == 768 and strip.min() < 40 and strip.std() > 20, "words below the picture"
    frames, seen, sounding = shown(url, result, ids["Clip"])
    assert len(frames) == 12 and seen == 6.0 and abs(sounding - seen) < 1 / 8, "within one frame of the shipped rate"
    assert np.abs(frames[0] - frames[-1]).mean() > 20
    jingle, rate = heard(url, result, ids["Save jingle"])
    assert jingle.shape == (2, pytest.approx(7.5 * rate, abs=0.1 * rate)), "four bars, and what rings on"
    voice, rate = heard(url, result, ids["Save voice"])
    assert voice.shape[1] > 0.5 * rate and np.abs(voice).max() > 0.01


def test_game_kit_makes_a_line_a_loop_that_closes_and_a_sheet_of_tiles(do, url, speech_packages):
    def keep_the_music(prompt: dict, ids: dict) -> None:
        ids["raw"] = "raw"
        prompt["raw"] = {
            "class_type": "SaveAudio",
            "inputs": {"audio": [ids["Music"], 0], "filename_prefix": "raw"},
        }

    steps = {"Draw the portrait.steps": "2", "Draw tiles.steps": "2"}
    result, ids = do("game_kit", {**steps, "Music.sound": "strings by formula"}, keep_the_music)
    assert result.outputs[ids["Line"]]["text"][0].startswith("I have run the numbers.")
    (portrait,), (sheet,) = (images(url, result, ids[title]) for title in ("Save portrait", "Save tiles"))
    assert portrait.shape[1] == 512 and portrait.shape[0] > 512
    tiles = sheet.reshape(3, 128, 3, 128, 3).swapaxes(1, 2).reshape(9, 128, 128, 3).astype(float)
    assert min(np.abs(a - b).mean() for a, b in combinations(tiles, 2)) > 2
    loop, rate = heard(url, result, ids["Save loop"])
    assert loop.shape == (2, 16 * rate)
    music, _ = heard(url, result, "raw")
    body, tail = music[:, : 16 * rate], music[:, 16 * rate :]
    assert tail.shape[1] > rate and np.abs(tail).max() > 0.05
    body[:, : tail.shape[1]] += tail
    body /= max(1, np.abs(body).max())
    assert np.abs(loop - body).max() < 1e-3, "what rings on after the last bar sounds over the first"
    line, _ = heard(url, result, ids["Save line"])
    assert np.abs(line).max() > 0.01


def test_talking_slideshow_holds_each_picture_as_long_as_its_line(do, url, speech_packages):
    settings = {
        "Lines.value": "hello world\nthis is a long sentence and now you try it",
        "Pictures.value": "the sun\na whale",
    }
    result, ids = do("talking_slideshow", {**settings, "Draw.steps": "4"})
    frames, seen, sounding = shown(url, result, ids["Video"])
    assert seen == len(frames) / 8 and abs(sounding - seen) < 1 / 8, "within one frame"
    steps = [np.abs(after - before).mean() for before, after in pairwise(frames)]
    change = int(np.argmax(steps)) + 1
    assert steps[change - 1] > 5 * sorted(steps)[-2], "one change"
    assert 3 < change < len(frames) - change, "the longer line has the longer picture"


@pytest.mark.parametrize("path", FILES, ids=stem)
def test_titles_are_unique_so_that_set_can_name_each_node(path):
    titles = [node["title"] for node in json.loads(path.read_text("utf-8"))["nodes"]]
    assert len(titles) == len(set(titles))


@pytest.mark.parametrize("path", FILES, ids=stem)
def test_our_nodes_say_which_pack_they_need(path):
    for node in json.loads(path.read_text("utf-8"))["nodes"]:
        if node["type"].startswith("AIGC_"):
            assert (node["properties"]["cnr_id"], node["properties"]["ver"]) == ("aigc-nodes", "0.1.0")


@pytest.mark.parametrize("path", FILES, ids=stem)
def test_no_node_lies_on_another_and_every_node_is_in_a_group(path):
    graph = json.loads(path.read_text("utf-8"))
    boxes = {}
    for node in graph["nodes"]:
        (x, y), (width, height) = node["pos"], node["size"]
        boxes[node["title"]] = (x, y - 30, x + width, y + height)
    for (one, a), (other, b) in combinations(boxes.items(), 2):
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, f"{one} and {other}"
    for title, box in boxes.items():
        assert any(
            g["bounding"][0] <= box[0]
            and g["bounding"][1] <= box[1]
            and box[2] <= g["bounding"][0] + g["bounding"][2]
            and box[3] <= g["bounding"][1] + g["bounding"][3]
            for g in graph["groups"]
        ), title
