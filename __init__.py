"""Entry point for ComfyUI. Without a host nothing is entered: pytest imports this file as a package."""

from importlib.util import find_spec

WEB_DIRECTORY = "./web"

if __package__ and find_spec("comfy_api"):
    from .nodes import comfy_entrypoint

    __all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
