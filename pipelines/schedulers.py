"""diffusers' schedulers by name, which of them fit a model, and the watched instance that one run uses."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from types import MethodType
from typing import Any

import torch

from .errors import AigcError

DEFAULT = "model default"

# name -> (diffusers class, config values laid over the model's own)
TABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_linspace": ("EulerDiscreteScheduler", {"timestep_spacing": "linspace"}),
    "euler_trailing": ("EulerDiscreteScheduler", {"timestep_spacing": "trailing"}),
    "euler_karras": ("EulerDiscreteScheduler", {"use_karras_sigmas": True}),
    "euler_exponential": ("EulerDiscreteScheduler", {"use_exponential_sigmas": True}),
    "euler_ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "heun_karras": ("HeunDiscreteScheduler", {"use_karras_sigmas": True}),
    "dpm_2": ("KDPM2DiscreteScheduler", {}),
    "dpm_2_ancestral": ("KDPM2AncestralDiscreteScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "dpmpp_2m_karras": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True}),
    "dpmpp_2m_sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "dpmpp_2m_sde_karras": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True},
    ),
    "dpmpp_2s": ("DPMSolverSinglestepScheduler", {}),
    "dpmpp_sde": ("DPMSolverSDEScheduler", {}),
    "deis": ("DEISMultistepScheduler", {}),
    "uni_pc": ("UniPCMultistepScheduler", {}),
    "uni_pc_karras": ("UniPCMultistepScheduler", {"use_karras_sigmas": True}),
    "sa_solver": ("SASolverScheduler", {}),
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
    "ddim": ("DDIMScheduler", {}),
    "ddim_trailing": ("DDIMScheduler", {"timestep_spacing": "trailing"}),
    "ddpm": ("DDPMScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "tcd": ("TCDScheduler", {}),
    "edm_euler": ("EDMEulerScheduler", {}),
    "edm_dpmpp_2m": ("EDMDPMSolverMultistepScheduler", {}),
    "cosine_dpmpp": ("CosineDPMSolverMultistepScheduler", {}),
    "cogvideox_ddim": ("CogVideoXDDIMScheduler", {}),
    "cogvideox_dpm": ("CogVideoXDPMScheduler", {}),
    "flow_euler": ("FlowMatchEulerDiscreteScheduler", {}),
    "flow_euler_karras": ("FlowMatchEulerDiscreteScheduler", {"use_karras_sigmas": True}),
    "flow_euler_beta": ("FlowMatchEulerDiscreteScheduler", {"use_beta_sigmas": True}),
    "flow_heun": ("FlowMatchHeunDiscreteScheduler", {}),
    "flow_lcm": ("FlowMatchLCMScheduler", {}),
    "ltx_euler_ancestral": ("LTXEulerAncestralRFScheduler", {}),
    "scm": ("SCMScheduler", {}),
}
FLOW = {"FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler", "FlowMatchLCMScheduler",
        "LTXEulerAncestralRFScheduler"}  # fmt: skip
SIGMA_DATA = {"EDMEulerScheduler", "EDMDPMSolverMultistepScheduler", "CosineDPMSolverMultistepScheduler"}
COGVIDEO = {"CogVideoXDDIMScheduler", "CogVideoXDPMScheduler"}


def names() -> list[str]:
    """Every name a sampler node offers, the model's own scheduler first."""
    return [DEFAULT, *TABLE]


def kind(scheduler: Any) -> str:
    """The noise process a scheduler belongs to; only schedulers of one kind can stand in for each other."""
    name, config = type(scheduler).__name__, scheduler.config
    if name in FLOW or config.get("use_flow_sigmas") or config.get("prediction_type") == "flow_prediction":
        return "flow"
    if name in SIGMA_DATA:
        return "edm"
    if name in COGVIDEO:
        return "cogvideo"
    return "scm" if name == "SCMScheduler" else "diffusion"


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(function).parameters)


def fits(name: str, scheduler: Any) -> bool:
    """Whether the named scheduler can drive a model whose own one is `scheduler`."""
    import diffusers

    if name == DEFAULT:
        return True
    cls = getattr(diffusers, TABLE[name][0], None)
    if cls is None:
        return False
    wanted = kind(scheduler)
    if wanted == "flow":
        spaced = any(key.startswith("use_") for key in TABLE[name][1])  # a second spacing would replace the flow's
        return cls.__name__ in FLOW or ("use_flow_sigmas" in _parameters(cls.__init__) and not spaced)
    if wanted == "edm":
        return cls.__name__ in SIGMA_DATA
    if wanted == "cogvideo":
        return cls.__name__ in COGVIDEO
    if wanted == "scm":
        return cls.__name__ == "SCMScheduler"
    return cls.__name__ not in FLOW | SIGMA_DATA | COGVIDEO | {"SCMScheduler"}


@dataclass
class Watch:
    """What one run wants of its scheduler.

    keep: run only the last `keep` steps of the schedule (partial denoising); None runs all, 0 none (tail replay).
    on_step(done, total, x0): called after each step; x0 is a function returning the estimate of the clean sample.
    on_schedule(scheduler): called when the schedule is set.
    on_result(scheduler, sample, done): returns what a step's result is replaced by.
    change_x0(x, alpha, sigma): what to add to the estimate of the clean sample before a step; x = alpha x0 + sigma noise.
    """

    keep: int | None = None
    on_step: Callable[[int, int, Callable[[], torch.Tensor]], None] | None = None
    on_schedule: Callable[[Any], None] | None = None
    on_result: Callable[..., torch.Tensor] | None = None
    change_x0: Callable[[torch.Tensor, float, float], torch.Tensor] | None = None
    unit_noise: bool = False
    done: int = 0
    before: int = field(default=0, init=False)  # steps of the schedules before this one: a long video has several
    offset: int = field(default=0, init=False)

    def __deepcopy__(self, memo: Any) -> Watch:
        """A pipeline that copies its scheduler (LTX2 does, for audio) gets a silent one: steps are counted once."""
        return Watch(keep=self.keep, unit_noise=self.unit_noise)


def fitting(scheduler: Any) -> list[str]:
    """The names that can drive a model whose own scheduler is `scheduler`."""
    return [name for name in names() if fits(name, scheduler)]


def _build(own: Any, name: str) -> Any:
    """A fresh scheduler: the model's own class and config, or the named one on the model's config."""
    import diffusers

    if name == DEFAULT:
        return type(own).from_config(own.config)
    if name not in TABLE:
        raise AigcError(f"Expected a scheduler name, got '{name}': choose one of {', '.join(names())}.")
    if not fits(name, own):
        raise AigcError(
            f"Expected a scheduler that fits this model ({type(own).__name__}), got '{name}': "
            f"choose one of {', '.join(fitting(own))}."
        )
    cls = getattr(diffusers, TABLE[name][0])
    config, accepted = dict(own.config), _parameters(cls.__init__)
    if kind(own) == "flow" and "use_flow_sigmas" in accepted:
        shift = config.get("flow_shift") or config.get("shift") or 1.0
        config.update(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=shift)
    for key in [k for k in config if k.startswith("use_") and k.endswith("_sigmas") and k != "use_flow_sigmas"]:
        config[key] = False
    return cls.from_config({k: v for k, v in config.items() if k in accepted}, **TABLE[name][1])


def watched(own: Any, name: str, watch: Watch) -> Any:
    """A fresh scheduler for one run that tells `watch` what happens; the pipeline's own one is never touched.

    It stays of its exact class, since some pipelines compare types; bound methods laid over the instance do the watching,
    and follow it into a deep copy. Raises AigcError when the name is unknown or does not fit the model.
    """
    scheduler = _build(own, name)
    base = type(scheduler)
    scheduler._watch = watch
    scheduler.set_timesteps = MethodType(_watching_set_timesteps(base), scheduler)
    scheduler.step = MethodType(_watching_step(base), scheduler)
    if hasattr(base, "set_begin_index"):
        scheduler.set_begin_index = MethodType(_watching_set_begin_index(base), scheduler)
    if watch.unit_noise and isinstance(getattr(base, "init_noise_sigma", None), property):
        scheduler.__class__ = type(base.__name__, (base,), {"init_noise_sigma": 1.0})
    return scheduler


def _watching_set_timesteps(base: type) -> Callable[..., None]:
    accepted = _parameters(base.set_timesteps)
    ordered = list(accepted)[1:]

    @functools.wraps(base.set_timesteps)
    def set_timesteps(self: Any, *args: Any, **kwargs: Any) -> None:
        kwargs.update(zip(ordered, args))
        num_inference_steps, device = kwargs.pop("num_inference_steps", None), kwargs.pop("device", None)
        sigmas, mu = kwargs.get("sigmas"), kwargs.get("mu")
        if sigmas is not None and "sigmas" not in accepted:
            num_inference_steps = len(sigmas)
        if mu is not None and base.__name__ not in FLOW:
            if "mu" not in accepted and "flow_shift" in self.config:
                self.register_to_config(flow_shift=math.exp(mu))
            if not self.config.get("use_dynamic_shifting"):
                kwargs.pop("mu")
        if sigmas is not None and base.__name__ == "LTXEulerAncestralRFScheduler":
            kwargs["sigmas"] = [float(sigma) for sigma in sigmas]  # it takes a list where the others take any array
        call = {k: v for k, v in kwargs.items() if v is not None and (k in accepted or "kwargs" in accepted)}
        if num_inference_steps is not None:
            call["num_inference_steps"] = num_inference_steps
        if device is not None and "device" in accepted:
            call["device"] = device
        base.set_timesteps(self, **call)
        _shorten(self)

    # Pipelines read the signature before they pass `sigmas` or `mu`: offer both, drop what the class cannot use.
    extra = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=None) for n in ("sigmas", "mu")]
    known = [p for p in accepted.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    signature = inspect.Signature(known + [p for p in extra if p.name not in accepted])
    set_timesteps.__signature__ = signature  # type: ignore[attr-defined]
    return set_timesteps


def _watching_step(base: type) -> Callable[..., Any]:
    @functools.wraps(base.step)
    def step(self: Any, model_output: Any, timestep: Any, sample: Any, *args: Any, **kwargs: Any) -> Any:
        watch: Watch = self._watch
        if watch.change_x0 is not None:
            model_output = _changed(self, watch.change_x0, model_output, timestep, sample)
        # Solvers look at the length of the whole schedule to tell their last step: they get it back while they work.
        shown, self.timesteps = self.timesteps, self._whole
        try:
            out = base.step(self, model_output, timestep, sample, *args, **kwargs)
        finally:
            self.timesteps = shown
        watch.done += 1
        if watch.on_result is not None:
            out = _with_result(out, functools.partial(watch.on_result, self, done=watch.done))
        if watch.on_step is not None:
            index = getattr(self, "step_index", None)
            x0 = functools.partial(estimate_x0, self, model_output, timestep, sample, index and index - 1)
            watch.on_step(watch.done, watch.before + len(self.timesteps), x0)
        return out

    return step


def _changed(scheduler: Any, change: Callable[..., torch.Tensor], output: Any, timestep: Any, sample: Any) -> Any:
    """The model's output after `change` to the estimate of the clean sample, which is affine in the output."""
    if getattr(scheduler, "step_index", None) is None and hasattr(scheduler, "_init_step_index"):
        scheduler._init_step_index(timestep)
    index = getattr(scheduler, "step_index", None)
    alpha, sigma = noise_level(scheduler, timestep, index)
    if sigma == 0:
        return output
    zero, one = sample.new_zeros(1), sample.new_ones(1)
    slope = float(
        estimate_x0(scheduler, one, timestep, zero, index) - estimate_x0(scheduler, zero, timestep, zero, index)
    )
    move = (change(sample, alpha, sigma) / slope).to(output)
    if output.shape != sample.shape:  # learned variance follows the prediction
        move = torch.cat([move, torch.zeros_like(move)], dim=1)
    return output + move


def _with_result(out: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """A step's output, tuple or object, with another sample in it."""
    if isinstance(out, tuple):
        return (change(out[0]), *out[1:])
    out.prev_sample = change(out.prev_sample)
    return out


def _watching_set_begin_index(base: type) -> Callable[..., None]:
    @functools.wraps(base.set_begin_index)
    def set_begin_index(self: Any, begin_index: int = 0) -> None:
        base.set_begin_index(self, begin_index + self._watch.offset)

    return set_begin_index


def _shorten(scheduler: Any) -> None:
    """Cut the schedule to its last `keep` steps, as image-to-image pipelines do, and report it."""
    watch: Watch = scheduler._watch
    scheduler._whole, watch.before = scheduler.timesteps, watch.done
    total = len(scheduler.timesteps)
    if watch.keep is not None and watch.keep < total:
        order = getattr(scheduler, "order", 1)
        kept = 0 if watch.keep == 0 else max(1, total - (scheduler.num_inference_steps - watch.keep) * order)
        watch.offset = total - kept
        scheduler.timesteps = scheduler.timesteps[watch.offset :]
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(0)
    if watch.on_schedule is not None:
        watch.on_schedule(scheduler)


def noise_level(scheduler: Any, timestep: Any, index: int | None) -> tuple[float, float]:
    """alpha and sigma of x = alpha x0 + sigma noise at one step; index: the scheduler's, where it counts its steps.

    Raises AigcError for a scheduler whose clean estimate is not known exactly (EDM's and SCM's).
    """
    known = kind(scheduler) not in (
        "edm",
        "scm",
    )  # what their models answer is no plain prediction of x0 or of the noise
    sigmas = getattr(scheduler, "sigmas", None)
    if known and sigmas is not None and index is not None:
        sigma = float(sigmas[min(index, len(sigmas) - 1)])
        if kind(scheduler) == "flow":
            return 1 - sigma, sigma
        if not hasattr(scheduler, "_sigma_to_alpha_sigma_t"):  # variance exploding
            return 1.0, sigma
        alpha = 1 / math.sqrt(1 + sigma**2)
        return alpha, sigma * alpha
    if not known or not hasattr(scheduler, "alphas_cumprod"):
        raise AigcError(
            f"Expected a scheduler that a judge can steer, got {type(scheduler).__name__}: choose another scheduler, or "
            "disconnect guide."
        )
    alpha = float(scheduler.alphas_cumprod[int(timestep)]) ** 0.5
    return alpha, math.sqrt(1 - alpha**2)


def estimate_x0(scheduler: Any, output: Any, timestep: Any, sample: Any, index: int | None) -> torch.Tensor:
    """The estimate of the clean sample at one step, for previews: same shape as `sample`.

    Flow matching: x0 = x - sigma v (Lipman et al. 2023, arXiv 2210.02747). Variance exploding: x0 = x - sigma eps
    (Karras et al. 2022, arXiv 2206.00364). Variance preserving: Ho et al. 2020, arXiv 2006.11239, eq. 15;
    v-prediction: Salimans and Ho 2022, arXiv 2202.00512, appendix D.
    """
    sample, output = sample.float(), output.float()
    if output.shape != sample.shape:  # learned variance: the first half is the prediction
        output = output.chunk(2, dim=1)[0]
    prediction = scheduler.config.get("prediction_type", "epsilon")
    sigmas = getattr(scheduler, "sigmas", None)
    sigma = None if sigmas is None or index is None else sigmas[min(index, len(sigmas) - 1)].to(sample)
    if kind(scheduler) == "flow":
        return sample if sigma is None else sample - sigma * output
    if prediction in ("sample", "original_sample"):
        return output
    if sigma is not None and not hasattr(scheduler, "_sigma_to_alpha_sigma_t"):  # variance exploding
        if prediction == "v_prediction":
            return sample / (sigma**2 + 1) - output * sigma / (sigma**2 + 1).sqrt()
        return sample - sigma * output
    if sigma is not None:
        alpha = 1 / (1 + sigma**2).sqrt()
    else:
        alpha = scheduler.alphas_cumprod[int(timestep)].to(sample).sqrt()
    noise = (1 - alpha**2).sqrt()
    if prediction == "v_prediction":
        return alpha * sample - noise * output
    return (sample - noise * output) / alpha
