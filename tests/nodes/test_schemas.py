"""What the host shows of our nodes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .canvas import fetch

EXPECTED = {
    "AIGC_LoadModel": ("Load Model", "AIGC/load"),
    "AIGC_LoadLora": ("Load LoRA", "AIGC/load"),
    "AIGC_ReplacePart": ("Replace Part", "AIGC/load"),
    "AIGC_ModelInfo": ("Model Info", "AIGC/load"),
    "AIGC_DownloadModel": ("Download Model", "AIGC/load"),
    "AIGC_EncodePrompt": ("Encode Prompt", "AIGC/condition"),
    "AIGC_AddControl": ("Add Control", "AIGC/condition"),
    "AIGC_AddReference": ("Add Reference", "AIGC/condition"),
    "AIGC_EmptyLatents": ("Empty Latents", "AIGC/latent"),
    "AIGC_EncodeImage": ("Encode Image", "AIGC/latent"),
    "AIGC_EncodeAudio": ("Encode Audio", "AIGC/latent"),
    "AIGC_EncodeSong": ("Encode Song", "AIGC/condition"),
    "AIGC_Sample": ("Sample", "AIGC/sample"),
    "AIGC_Guider": ("Guider", "AIGC/sample"),
    "AIGC_BestOfN": ("Best of N", "AIGC/sample"),
    "AIGC_SteerParticles": ("Steer Particles", "AIGC/sample"),
    "AIGC_SearchNoise": ("Search Noise", "AIGC/sample"),
    "AIGC_GuideModel": ("Guide Model", "AIGC/sample"),
    "AIGC_TrainDiscriminator": ("Train Discriminator", "AIGC/train"),
    "AIGC_DesignGan": ("Design GAN", "AIGC/train"),
    "AIGC_DesignVae": ("Design VAE", "AIGC/train"),
    "AIGC_TrainVae": ("Train VAE", "AIGC/train"),
    "AIGC_DesignDiffusion": ("Design Diffusion", "AIGC/train"),
    "AIGC_TrainDiffusion": ("Train Diffusion", "AIGC/train"),
    "AIGC_TrainGan": ("Train GAN", "AIGC/train"),
    "AIGC_ResumeTraining": ("Resume Training", "AIGC/train"),
    "AIGC_CompareRuns": ("Compare Runs", "AIGC/train"),
    "AIGC_TrainLora": ("Train LoRA", "AIGC/train"),
    "AIGC_LoadDiscriminator": ("Load Discriminator", "AIGC/score"),
    "AIGC_Score": ("Score", "AIGC/score"),
    "AIGC_ScoreHeatmap": ("Score Heatmap", "AIGC/score"),
    "AIGC_Rank": ("Rank", "AIGC/score"),
    "AIGC_CalibrateDiscriminator": ("Calibrate Discriminator", "AIGC/score"),
    "AIGC_CombineDiscriminators": ("Combine Discriminators", "AIGC/score"),
    "AIGC_Gate": ("Gate", "AIGC/score"),
    "AIGC_CompareSets": ("Compare Sets", "AIGC/score"),
    "AIGC_JudgePanel": ("Judge Panel", "AIGC/score"),
    "AIGC_SaveScores": ("Save Scores", "AIGC/score"),
    "AIGC_ScoreFolder": ("Score Folder", "AIGC/score"),
    "AIGC_CollectImages": ("Collect Images", "AIGC/data"),
    "AIGC_CleanImages": ("Clean Images", "AIGC/data"),
    "AIGC_CaptionImages": ("Caption Images", "AIGC/data"),
    "AIGC_BucketImages": ("Bucket Images", "AIGC/data"),
    "AIGC_LoadGan": ("Load GAN", "AIGC/gan"),
    "AIGC_GenerateGan": ("Generate GAN", "AIGC/gan"),
    "AIGC_ProjectImage": ("Project Image", "AIGC/gan"),
    "AIGC_RejectByDiscriminator": ("Reject By Discriminator", "AIGC/gan"),
    "AIGC_SaveGan": ("Save GAN", "AIGC/gan"),
    "AIGC_SampleStyles": ("Sample Styles", "AIGC/gan"),
    "AIGC_MapStyles": ("Map Styles", "AIGC/gan"),
    "AIGC_MixStyles": ("Mix Styles", "AIGC/gan"),
    "AIGC_WalkStyles": ("Walk Styles", "AIGC/gan"),
    "AIGC_EditStyles": ("Edit Styles", "AIGC/gan"),
    "AIGC_MakeTone": ("Make Tone", "AIGC/audio"),
    "AIGC_ShowSpectrogram": ("Show Spectrogram", "AIGC/audio"),
    "AIGC_MixAudio": ("Mix Audio", "AIGC/audio"),
    "AIGC_NormaliseLoudness": ("Normalise Loudness", "AIGC/audio"),
    "AIGC_WalkPrompts": ("Walk Prompts", "AIGC/video"),
    "AIGC_WalkLatents": ("Walk Latents", "AIGC/video"),
    "AIGC_AnimateLatents": ("Animate Latents", "AIGC/video"),
    "AIGC_GenerateText": ("Generate Text", "AIGC/text"),
    "AIGC_WritePrompt": ("Write Prompt", "AIGC/text"),
    "AIGC_WriteCopy": ("Write Copy", "AIGC/text"),
    "AIGC_DecodeImage": ("Decode Image", "AIGC/decode"),
    "AIGC_DecodeVideo": ("Decode Video", "AIGC/decode"),
    "AIGC_SetType": ("Set Type", "AIGC/image"),
    "AIGC_TalkingSlides": ("Talking Slides", "AIGC/video"),
    "AIGC_Speak": ("Speak", "AIGC/audio"),
    "AIGC_ComposeMusic": ("Compose Music", "AIGC/audio"),
    "AIGC_DecodeAudio": ("Decode Audio", "AIGC/decode"),
}


@pytest.fixture(scope="module")
def schemas(host) -> dict:
    return {name: info for name, info in fetch(host.url, "/object_info").items() if name.startswith("AIGC_")}


def labels(info: dict) -> dict:
    """A node's schema in the shape of a locale file."""
    inputs = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
    outputs = zip(info["output_name"], info["output_tooltips"])
    return {
        "display_name": info["display_name"],
        "description": info["description"],
        "inputs": {name: {"name": name, "tooltip": options[1]["tooltip"]} for name, options in inputs.items()},
        "outputs": {str(i): {"name": name, "tooltip": tooltip} for i, (name, tooltip) in enumerate(outputs)},
    }


def test_every_node_registers_under_its_name_and_topic(schemas):
    assert {name: (info["display_name"], info["category"]) for name, info in schemas.items()} == EXPECTED


def test_every_input_has_a_tooltip_and_every_output_a_name_and_a_tooltip(schemas):
    for name, info in schemas.items():
        shown = labels(info)
        assert info["description"], name
        assert all(part["tooltip"] for part in [*shown["inputs"].values(), *shown["outputs"].values()]), name
        assert not set(info["output_name"]) & set(info["output"]), f"{name}: an output shows its type as its name"


def test_the_english_labels_are_the_schemas_own(schemas, repo_root: Path):
    stored = json.loads((repo_root / "locales/en/nodeDefs.json").read_text("utf-8"))
    assert stored == {name: labels(info) for name, info in schemas.items()}


def test_the_chinese_labels_cover_exactly_the_same_and_leave_nothing_in_english(schemas, repo_root: Path):
    stored = json.loads((repo_root / "locales/zh/nodeDefs.json").read_text("utf-8"))
    for name, info in schemas.items():
        english, chinese = labels(info), stored[name]
        assert chinese["inputs"].keys() == english["inputs"].keys(), name
        assert chinese["outputs"].keys() == english["outputs"].keys(), name
        texts = [chinese["description"], *(part["tooltip"] for part in chinese["inputs"].values())]
        assert all(any("\u4e00" <= letter <= "\u9fff" for letter in text) for text in texts), name
    assert stored.keys() == schemas.keys()


def test_the_host_serves_labels_help_and_the_web_extension(host, schemas):
    zh = fetch(host.url, "/i18n")["zh"]
    assert zh["nodeDefs"]["AIGC_Sample"]["display_name"] == "采样"
    assert zh["nodeCategories"]["decode"] == "解码"
    script = next(path for path in fetch(host.url, "/extensions") if path.endswith("/aigc.js"))
    folder = script.removesuffix("/aigc.js")
    assert not [path for path in fetch(host.url, "/extensions") if path.startswith(f"{folder}/lib/")]
    for name in schemas:
        for language in ("en", "zh"):
            assert len(fetch(host.url, f"{folder}/docs/{name}/{language}.md")) > 200
