"""Any diffusers pipeline in stages: each holds only its own weights, and together they equal the whole."""

from .animated import animate
from .control import add_control
from .decode import decode_audio, decode_image, decode_sound, decode_video, encode_image
from .encode import encode_prompt
from .latents import empty_latents, told
from .pipe import release_all
from .reference import add_reference
from .sample import sample
from .song import Song, Source, encode_song
from .sounds import encode_audio
from .walking import walk_latents, walk_prompts

__all__ = [
    "Song",
    "Source",
    "add_control",
    "add_reference",
    "animate",
    "decode_audio",
    "decode_image",
    "decode_sound",
    "decode_video",
    "empty_latents",
    "encode_audio",
    "encode_image",
    "encode_prompt",
    "encode_song",
    "release_all",
    "sample",
    "told",
    "walk_latents",
    "walk_prompts",
]
