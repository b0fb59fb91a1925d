"""Runs inside ComfyUI's own process: answers requests with the host's own nodes. Knows nothing of this pack.

    python host_side.py <host folder>

A request is one line of JSON on stdin, {"do": name, "given": file, "reply": file}; both files are `torch.save` dicts of
plain values and tensors. The answer is one line on stdout: "ok", or "error" and a traceback as JSON.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any


def load_vae(weights: str) -> Any:
    import comfy.sd
    import comfy.utils

    return comfy.sd.VAE(sd=comfy.utils.load_torch_file(weights))


def vae_shapes(given: dict[str, Any]) -> dict[str, Any]:
    """The names and shapes of the autoencoder that the host makes when it sees these tensors."""
    import comfy.sd
    import torch

    vae = comfy.sd.VAE(sd={name: torch.zeros(shape) for name, shape in given["marks"].items()})
    return {name: tuple(value.shape) for name, value in vae.first_stage_model.state_dict().items()}


def decode(given: dict[str, Any]) -> dict[str, Any]:
    """VAE Decode on a LATENT dict that holds nothing but the tensor."""
    import nodes

    vae = load_vae(given["weights"])
    picture = nodes.VAEDecode().decode(vae, {"samples": given["samples"]})[0]
    return {"image": picture.float().cpu(), "dtype": str(vae.vae_dtype)}


def encode(given: dict[str, Any]) -> dict[str, Any]:
    """VAE Encode on an IMAGE."""
    import nodes

    vae = load_vae(given["weights"])
    return {"samples": nodes.VAEEncode().encode(vae, given["image"])[0]["samples"].float().cpu()}


def noise(given: dict[str, Any]) -> dict[str, Any]:
    import comfy.sample

    return {"noise": comfy.sample.prepare_noise(given["samples"], given["seed"], given.get("batch_index"))}


def sample(given: dict[str, Any]) -> dict[str, Any]:
    """KSampler on a denoiser in diffusers' layout; `model_sampling` names the shifts and the size for FLUX."""
    import comfy.sd
    import comfy.utils
    import torch

    import nodes

    weights = comfy.utils.load_torch_file(given["weights"])
    model = comfy.sd.load_diffusion_model_state_dict(weights, model_options={"dtype": torch.float32})
    if given.get("flux_shift"):
        from comfy_extras.nodes_model_advanced import ModelSamplingFlux

        model = ModelSamplingFlux().patch(model, **given["flux_shift"])[0]

    def conditioning(side: dict[str, Any]) -> list[Any]:
        return [[side["embeds"], {k: v for k, v in side.items() if k != "embeds"}]]

    out = nodes.KSampler().sample(
        model, given["seed"], given["steps"], given["cfg"], given["sampler"], given["scheduler"],
        conditioning(given["positive"]), conditioning(given["negative"]), {"samples": given["samples"]},
    )[0]  # fmt: skip
    return {"samples": out["samples"], "model": type(model.model).__name__}


def predict_with_lora(given: dict[str, Any]) -> dict[str, Any]:
    """One call of a denoiser in diffusers' layout with a LoRA laid on by the host's own node."""
    import comfy.model_management as mm
    import comfy.sd
    import comfy.utils
    import folder_paths
    import torch

    import nodes

    folder_paths.add_model_folder_path("loras", given["loras"])
    weights = comfy.utils.load_torch_file(given["weights"])
    model = comfy.sd.load_diffusion_model_state_dict(weights, model_options={"dtype": torch.float32})
    model = nodes.LoraLoaderModelOnly().load_lora_model_only(model, given["lora"], given["strength"])[0]
    mm.load_models_gpu([model])
    made = model.model.diffusion_model(given["x"], given["t"], context=given["text"])
    return {"prediction": made.float().cpu(), "patched": len(model.patches)}


ACTIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "vae_shapes": vae_shapes,
    "decode": decode,
    "encode": encode,
    "noise": noise,
    "sample": sample,
    "predict_with_lora": predict_with_lora,
}


def start(host: str) -> Any:
    """Bring the host's modules up as `main.py --cpu` would, without its server. Returns where replies are written."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # the host prints to stdout
    sys.argv = ["main.py", "--cpu"]
    sys.path[0] = host
    os.chdir(host)
    import comfy.options

    comfy.options.enable_args_parsing()
    import comfy.model_management

    assert comfy.model_management.get_torch_device().type == "cpu"
    return replies


def serve(replies: Any) -> None:
    import comfy.model_management as mm
    import torch

    for line in sys.stdin:
        request = json.loads(line)
        try:
            with torch.inference_mode():
                given = torch.load(request["given"], weights_only=True)
                torch.save(ACTIONS[request["do"]](given), request["reply"])
            answer = "ok"
        except Exception:
            answer = "error " + json.dumps(traceback.format_exc())
        given = None
        mm.unload_all_models()
        gc.collect()
        replies.write(answer + "\n")
        replies.flush()


if __name__ == "__main__":
    serve(start(sys.argv[1]))
