"""The host-facing side: node schemas and glue. `comfy_entrypoint` is what the host calls."""

from __future__ import annotations

import logging
from importlib import import_module

from ._api import ComfyExtension, io

NODES = {
    "load": ("LoadModel", "LoadLora", "ReplacePart", "ModelInfo"),
    "sources": ("DownloadModel",),
    "condition": ("EncodePrompt",),
    "control": ("AddControl", "AddReference"),
    "latent": ("EmptyLatents", "EncodeImage", "EncodeAudio"),
    "song": ("EncodeSong",),
    "sample": ("Sample",),
    "guide": ("Guider",),
    "search": ("BestOfN", "SteerParticles", "SearchNoise"),
    "steer": ("GuideModel",),
    "train": ("TrainDiscriminator",),
    "design": ("DesignGan",),
    "networks": ("DesignVae", "TrainVae", "DesignDiffusion", "TrainDiffusion"),
    "runs": ("TrainGan", "ResumeTraining", "CompareRuns"),
    "lora_training": ("TrainLora",),
    "score": ("LoadDiscriminator", "Score", "ScoreHeatmap", "Rank"),
    "calibrate": ("CalibrateDiscriminator", "CombineDiscriminators"),
    "choose": ("Gate",),
    "sets": ("CompareSets", "JudgePanel"),
    "records": ("SaveScores", "ScoreFolder"),
    "data": ("CollectImages", "CleanImages", "CaptionImages", "BucketImages"),
    "gan": ("LoadGan", "GenerateGan", "ProjectImage", "RejectByDiscriminator", "SaveGan"),
    "styles": ("SampleStyles", "MapStyles", "MixStyles", "WalkStyles", "EditStyles"),
    "speak": ("Speak",),
    "music": ("ComposeMusic",),
    "sound": ("MakeTone", "ShowSpectrogram", "MixAudio", "NormaliseLoudness"),
    "walk": ("WalkPrompts", "WalkLatents"),
    "motion": ("AnimateLatents",),
    "lettering": ("SetType",),
    "slides": ("TalkingSlides",),
    "text": ("GenerateText",),
    "writing": ("WritePrompt", "WriteCopy"),
    "decode": ("DecodeImage", "DecodeVideo", "DecodeAudio"),
}


class Aigc(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Every node whose schema is sound: the host would drop the whole pack for one that raises."""
        nodes = []
        for topic, names in NODES.items():
            for name in names:
                try:
                    node = getattr(import_module(f".{topic}", __name__), name)
                    node.GET_SCHEMA()
                    nodes.append(node)
                except Exception:  # whatever is wrong with one node, the others still load
                    logging.exception("AIGC Nodes: %s is left out", name)
        return nodes


async def comfy_entrypoint() -> ComfyExtension:
    return Aigc()
