"""Entry point for ComfyUI. The guard keeps pytest, which imports this file bare, away from the host's modules."""

WEB_DIRECTORY = "./web"

if __package__:
    from .nodes import comfy_entrypoint

    __all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
