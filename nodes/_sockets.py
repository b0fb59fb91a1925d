"""Our socket types; each carries the payload dataclass of the same name from `pipelines.payloads`."""

from ._api import io

AIGC_MODEL = io.Custom("AIGC_MODEL")
AIGC_CONDITIONING = io.Custom("AIGC_CONDITIONING")
AIGC_GUIDER = io.Custom("AIGC_GUIDER")
AIGC_DISCRIMINATOR = io.Custom("AIGC_DISCRIMINATOR")
AIGC_SCORES = io.Custom("AIGC_SCORES")
