"""Schedulers, by class."""

from __future__ import annotations

from typing import Any

CLASSES: dict[str, dict[str, Any]] = {
    "DDIMScheduler": {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "steps_offset": 1,
        "clip_sample": False,
    },
    "EulerDiscreteScheduler": {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "steps_offset": 1,
        "timestep_spacing": "leading",
    },
    "FlowMatchEulerDiscreteScheduler": {"shift": 3.0},
}
