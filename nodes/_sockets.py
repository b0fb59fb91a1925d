"""Our socket types; each carries the payload dataclass of the same name from `pipelines.payloads`."""

from ._api import io

AIGC_MODEL = io.Custom("AIGC_MODEL")
AIGC_CONDITIONING = io.Custom("AIGC_CONDITIONING")
AIGC_GUIDER = io.Custom("AIGC_GUIDER")
AIGC_DISCRIMINATOR = io.Custom("AIGC_DISCRIMINATOR")
AIGC_SCORES = io.Custom("AIGC_SCORES")
AIGC_DATASET = io.Custom("AIGC_DATASET")
AIGC_DESIGN = io.Custom("AIGC_DESIGN")
AIGC_GAN = io.Custom("AIGC_GAN")
AIGC_STYLE = io.Custom("AIGC_STYLE")
AIGC_RUN = io.Custom("AIGC_RUN")
