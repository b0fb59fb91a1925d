"""Search with a judge: more candidates than results, judged on the way or at the end."""

from ..stages.particles import Sampler
from .best_of import OFF, ON, Plan, best_of, plan_of, shares_of
from .noise import METHODS, search_noise
from .steer import POTENTIALS, steer_particles

__all__ = [
    "METHODS",
    "OFF",
    "ON",
    "POTENTIALS",
    "Plan",
    "Sampler",
    "best_of",
    "plan_of",
    "search_noise",
    "shares_of",
    "steer_particles",
]
