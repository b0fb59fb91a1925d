"""The judges whose weights are on a hub: where from, which classes, which licence, and what the number means."""

from __future__ import annotations

from dataclasses import dataclass

from ...payloads import JudgeSpec


@dataclass(frozen=True)
class Also:
    """A file that a judge needs beside its weights.

    role: what it is for. names: any of these. sources: the hub repositories that have it. host: the tokenizer of
    `Roots.tokenizers` that does as well. address: where it is when it is on no hub; then it may lie in models/judges itself.
    """

    role: str
    names: tuple[str, ...]
    sources: tuple[str, ...] = ()
    host: str = ""
    address: str = ""


@dataclass(frozen=True)
class Row:
    """One judge. family: the module of this package whose `open_judge` opens it. source: owner/name on the hub.

    classes: of transformers. head: from what they return to the number. licence: of the weights, as published. size: of the
    download. half: whether its weights may be 16 bit, as they were published.
    """

    family: str
    source: str
    classes: str
    head: str
    licence: str
    size: str
    unit: str
    note: str
    paper: str
    needs_prompt: bool = True
    modality: str = "image"
    space: str = "rgb01"
    differentiable: bool = True
    half: bool = False
    also: tuple[Also, ...] = ()


_CLIP_REPOS = ("openai/clip-vit-large-patch14", "openai/clip-vit-base-patch32", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K")
_CLIP_WORDS = Also("tokenizer", ("vocab.json", "tokenizer.json"), _CLIP_REPOS, host="clip")
_BERT_WORDS = Also(
    "tokenizer",
    ("vocab.txt",),
    ("THUDM/ImageReward", "google-bert/bert-base-uncased", "Salesforce/blip-image-captioning-base"),
)
_LAION = "sac+logos+ava1-l14-linearMSE"
_LAION_HEAD = Also(
    "head",
    (f"{_LAION}.safetensors", f"{_LAION}.pth"),
    ("christophschuhmann/improved-aesthetic-predictor",),
    address=f"github.com/christophschuhmann/improved-aesthetic-predictor/raw/main/{_LAION}.pth",
)
_QWEN = Also("processor", ("preprocessor_config.json",), ("Qwen/Qwen2-VL-7B-Instruct",))
_AXES = {
    "ce": ("content enjoyment", "how much one likes to hear it"),
    "cu": ("content usefulness", "how well it serves as material"),
    "pc": ("production complexity", "how much goes on in it; more is not better by itself"),
    "pq": ("production quality", "clarity, dynamics, stereo and noise"),
}

TABLE: dict[str, Row] = {
    "clipscore": Row(
        "clip", "openai/clip-vit-base-patch32", "CLIPModel", "2.5 max(cosine, 0), prompt after 'A photo depicts'",
        "MIT (code); weights unknown", "0.6 GB", "CLIPScore", "agreement with the prompt, about 0.5 to 0.9; blind to quality",
        "Hessel et al. 2021, arXiv 2104.08718", also=(_CLIP_WORDS,),
    ),
    "siglip2": Row(
        "clip", "google/siglip2-so400m-patch14-384", "SiglipModel", "scale cosine + bias",
        "Apache-2.0", "4.5 GB", "probability", "that picture and prompt belong together; small for most prompts",
        "Tschannen et al. 2025, arXiv 2502.14786",
        also=(Also("tokenizer", ("tokenizer.json", "tokenizer.model"), ("google/siglip2-so400m-patch14-384",)),),
    ),
    "pickscore": Row(
        "clip", "yuvalkirstain/PickScore_v1", "CLIPModel", "scale cosine",
        "MIT (code); weights unknown", "3.9 GB", "PickScore",
        "what people picked of two, about 18 to 24; compare within one prompt",
        "Kirstain et al. 2023, arXiv 2305.01569", also=(_CLIP_WORDS,),
    ),
    "hpsv2.1": Row(
        "open_clip", "xswu/HPSv2", "CLIPModel", "cosine of the whole picture on black",
        "Apache-2.0", "2 to 4 GB", "HPS", "what people preferred, about 0.2 to 0.35; compare within one prompt",
        "Wu et al. 2023, arXiv 2306.09341", also=(_CLIP_WORDS,),
    ),
    "imagereward": Row(
        "blip", "THUDM/ImageReward", "BlipVisionModel, BlipTextModel", "five linear layers on the first word, standardised",
        "Apache-2.0", "1.8 GB", "ImageReward", "human preference in standard deviations, about -2 to 2; 0 is the average",
        "Xu et al. 2023, arXiv 2304.05977", also=(_BERT_WORDS,),
    ),
    "hpsv3": Row(
        "hpsv3", "MizzenAI/HPSv3", "Qwen2VLForConditionalGeneration", "the mean of a ranking head at the reward token",
        "MIT (code); weights unknown", "16 GB", "HPSv3", "human preference, about 0 to 15; compare within one prompt",
        "Ma et al. 2025, arXiv 2508.03789", half=True, also=(_QWEN,),
    ),
    "vqascore": Row(
        "vqascore", "Qwen/Qwen2.5-VL-7B-Instruct", "AutoModelForImageTextToText",
        "P('Yes') after picture and 'Does this figure show \"…\"? Please answer yes or no.'",
        "Apache-2.0", "17 GB", "probability", "that the picture shows what the prompt says; good at counts and relations",
        "Lin et al. 2024, arXiv 2404.01291", differentiable=False, half=True,
    ),
    "laion-aesthetic": Row(
        "aesthetic", "openai/clip-vit-large-patch14", "CLIPVisionModelWithProjection", "five linear layers on the unit embedding",
        "Apache-2.0 (head); MIT (CLIP code), weights unknown", "1.7 GB", "rating",
        "how people rate it, 1 to 10, mostly 4 to 7; likes paintings and portraits",
        "Schuhmann 2022, github.com/christophschuhmann/improved-aesthetic-predictor", needs_prompt=False, also=(_LAION_HEAD,),
    ),
    **{
        f"audiobox-{axis}": Row(
            "audiobox", "facebook/audiobox-aesthetics", "WavLMModel", "layers weighed, mean over time, unit, a perceptron",
            "CC-BY-4.0", "0.4 GB", "rating", f"{name}, 1 to 10: {meaning}", "Tjandra et al. 2025, arXiv 2502.05139",
            needs_prompt=False, modality="audio", space="wav@16000",
        )
        for axis, (name, meaning) in _AXES.items()
    },
    "clap": Row(
        "clap", "laion/clap-htsat-unfused", "ClapModel", "cosine, the mean over pieces of 10 s",
        "Apache-2.0", "0.6 GB", "cosine", "agreement of a sound with its prompt, about 0 to 0.6",
        "Wu et al. 2022, arXiv 2211.06687", modality="audio", space="wav@48000", differentiable=False,
    ),
}  # fmt: skip


def spec(judge_id: str) -> JudgeSpec:
    """The spec of a row."""
    row = TABLE[judge_id]
    return JudgeSpec(
        id=judge_id,
        licence=row.licence,
        modality=row.modality,
        space=row.space,
        unit=row.unit,
        needs_prompt=row.needs_prompt,
        differentiable=row.differentiable,
        note=row.note,
    )
