"""Entry point for ComfyUI. The guard is for pytest, which imports this file bare."""

WEB_DIRECTORY = "./web"

if __package__:
    from .nodes import comfy_entrypoint

    __all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
