"""Modular Diffusers pipelines behind the same engine: families that have blocks and no classic pipeline class.

A modular pipeline is a list of blocks over a shared state. `dressed.py` gives it the classic surface that the stages
use (a call with a signature, `encode_prompt`, `prepare_latents`, `scheduler`), so that sampling, partial denoising,
preview, decoding and empty latents run unchanged. Only two things differ: where parts come from (`folder.py`,
`stage.py`) and that the encoders are blocks to be run one after the other (`encode.py`).
"""

from .encode import encode_prompt
from .folder import handles, is_modular, open_folder
from .stage import decoder_name, skeleton, stage

__all__ = ["decoder_name", "encode_prompt", "handles", "is_modular", "open_folder", "skeleton", "stage"]
