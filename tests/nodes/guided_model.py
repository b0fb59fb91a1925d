"""Runs in a Python that has the host's modules: its KSampler on small models of its own, guided and not; prints JSON.

Usage: python guided_model.py HOST_FOLDER REPOSITORY JUDGE_FILE
"""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

HOST, REPOSITORY, JUDGE = sys.argv[1:4]
sys.argv = ["main.py", "--cpu"]
sys.path.insert(0, HOST)

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
# The host's own order: with another one, its `utils` is not found.
# isort: off
import utils.extra_config  # noqa: E402, F401
import comfy.model_base  # noqa: E402
import comfy.model_management as mm  # noqa: E402
import comfy.model_patcher  # noqa: E402
import comfy.supported_models  # noqa: E402
import nodes  # noqa: E402
import torch  # noqa: E402
# isort: on

UNET = {
    "in_channels": 4, "out_channels": 4, "model_channels": 32, "num_res_blocks": [1, 1], "channel_mult": [1, 2],
    "transformer_depth": [1, 1], "transformer_depth_output": [1, 1, 1, 1], "transformer_depth_middle": 1, "context_dim": 32,
    "num_heads": 4, "use_spatial_transformer": True, "image_size": 8, "dtype": torch.float32,
}  # fmt: skip


def pack(name: str) -> Any:
    if "pack" not in sys.modules:
        spec = importlib.util.spec_from_file_location("pack", f"{REPOSITORY}/__init__.py")
        sys.modules["pack"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["pack"])
    return importlib.import_module(f"pack.{name}")


def model_of(kind: str) -> Any:
    """A MODEL of random weights whose noise process is `kind`."""
    torch.manual_seed(0)
    config = comfy.supported_models.SD15({**UNET})
    config.unet_config = {**UNET}
    base = comfy.model_base.BaseModel(config, comfy.model_base.ModelType[kind])
    for parameter in base.parameters():
        torch.nn.init.normal_(parameter, std=0.08)
    return comfy.model_patcher.ModelPatcher(base, torch.device("cpu"), torch.device("cpu"))


def sampled(model: Any, scheduler: str = "normal") -> torch.Tensor:
    embeds = torch.randn(1, 7, 32, generator=torch.Generator().manual_seed(1))
    side, latent = [[embeds, {}]], {"samples": torch.zeros(2, 4, 8, 8)}
    return nodes.KSampler().sample(model, 3, 4, 2.0, "euler", scheduler, side, side, latent)[0]["samples"]


def guided(model: Any, judge: Any, weight: float, start: float = 0.0, stop: float = 1.0) -> Any:
    node = pack("nodes.steer").GuideModel
    return node.execute(model=model, discriminator=judge, weight=weight, start=start, stop=stop).args[0]


def liked(judge: Any, samples: torch.Tensor) -> float:
    scores = pack("pipelines.score.scoring").score(judge, {"samples": samples}, runtime=pack("nodes._host").runtime())
    return sum(scores.values) / len(scores.values)


def slope_error(model: Any, judge: Any) -> float:
    """The hook's move at one noise level against w taper a sigma^2 times the finite difference of the logit, relative."""
    steering, scoring = pack("pipelines.score.steering"), pack("pipelines.score.scoring")
    steer = guided(model, judge, 2.0).model_options["sampler_post_cfg_function"][0]
    process, sigma = model.model.model_sampling, torch.tensor([0.4])
    clean, noise, along = torch.randn(3, 1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    x = process.noise_scaling(sigma, noise.clone(), clean)
    moved = steer({"denoised": torch.zeros_like(x), "sigma": sigma, "input": x, "model": model.model})
    zero, one = torch.zeros(1), torch.ones(1)
    alpha, level = (float(process.noise_scaling(sigma, *pair)) for pair in ((zero, one), (one.clone(), zero)))
    level /= alpha
    with pack("pipelines.score.judges").judging(judge, pack("nodes._host").runtime()) as opened:

        def logit(at: torch.Tensor) -> torch.Tensor:
            y = scoring.to_space(judge.spec, model.model.process_latent_out(at))
            return opened.logit(y, sigma=torch.full((1,), level))

        step = 1e-2
        finite = (logit(x / alpha + step * along) - logit(x / alpha - step * along)) / (2 * step)
    wanted = 2.0 * steering.taper(judge.spec, level) * judge.calibration[0] * level**2 * finite
    found = (moved * along).sum()
    return float((found - wanted).abs() / wanted.abs())


def refusals(judge: Any) -> list[str]:
    payloads = pack("pipelines.payloads")
    found = []
    for other in (
        payloads.Discriminator(payloads.JudgeSpec("sharp"), "sharpness"),
        payloads.Discriminator(replace(judge.spec, scale=(1.0, 2.0, 1.0, 1.0)), "learned", judge.path),
    ):
        try:
            guided(model_of("EPS"), other, 1.0)
            found.append("")
        except Exception as error:
            found.append(str(error))
    return found


def moved_weights() -> bool:
    """Whether weights that the host moved, inside its inference mode, still have a slope behind them."""
    host = pack("nodes._host")
    with torch.inference_mode(False):
        part = torch.nn.Conv2d(4, 4, 3).requires_grad_(False)
    patcher = host.runtime().patcher(part)
    patcher.partially_load(torch.float64)  # a dtype stands in for a device: `to` makes new tensors for both
    with torch.inference_mode(False), torch.enable_grad():
        x = torch.randn(1, 4, 8, 8, dtype=torch.float64, requires_grad=True)
        return bool(torch.autograd.grad(part(x).sum(), x)[0].any())


def main() -> dict[str, Any]:
    judge = pack("pipelines.score.learned").read_header(Path(JUDGE))[0]
    facts: dict[str, Any] = {"refused": refusals(judge), "moved_weights": moved_weights(), "kinds": {}}
    for kind in ("EPS", "V_PREDICTION", "V_PREDICTION_EDM", "FLOW", "FLOW_COSMOS"):
        model = model_of(kind)
        plain, off, late = (sampled(m) for m in (model, guided(model, judge, 0.0), guided(model, judge, 9.0, 1.0, 1.0)))
        on, away = (sampled(guided(model, judge, weight)) for weight in (20.0, -20.0))
        facts["kinds"][kind] = {
            "off": torch.equal(plain, off), "outside": torch.equal(plain, late), "same again": torch.equal(plain, sampled(model)),
            "liked": [liked(judge, x) for x in (away, plain, on)], "slope": slope_error(model, judge),
            "loaded": len(mm.current_loaded_models),
        }  # fmt: skip
    return facts


with torch.inference_mode():
    print(json.dumps(main()))
