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


def _read(path: str) -> dict[str, Any]:
    """What a media file holds, decoded: samples [C, T] and rate of its sound, number and size of its frames, in seconds."""
    import av
    import numpy as np
    import torch

    found: dict[str, Any] = {}
    with av.open(path) as file:
        for stream in file.streams.video:
            found["size"] = [stream.width, stream.height]
            found["video_seconds"] = float(stream.duration * stream.time_base)
            found["fps"] = float(stream.average_rate)
    for kind in ("video", "audio"):
        with av.open(path) as file:
            streams = getattr(file.streams, kind)
            frames = list(file.decode(streams[0])) if streams else []
            if kind == "video":
                found["frames"] = len(frames)
            elif frames:
                arrays = [f.to_ndarray() for f in frames]
                channels = streams[0].codec_context.channels
                planar = frames[0].format.is_planar
                whole = np.concatenate([a if planar else a.reshape(-1, channels).T for a in arrays], axis=1)
                scale = 1 if whole.dtype.kind == "f" else 2.0 ** (8 * whole.dtype.itemsize - 1)
                found["sound"] = torch.from_numpy(whole.astype(np.float64) / scale).float()
                found["rate"] = streams[0].rate
                if streams[0].duration:
                    found["sound_seconds"] = float(streams[0].duration * streams[0].time_base)
    return found


def _saving_into(folder: str) -> None:
    import folder_paths
    from comfy.cli_args import args

    args.disable_metadata = True  # there is no prompt to write
    folder_paths.set_output_directory(folder)
    folder_paths.set_temp_directory(folder)


def _newest(folder: str, before: set[str]) -> list[str]:
    after = {os.path.join(where, name) for where, _, names in os.walk(folder) for name in names}
    return sorted(after - before)


def save_sounds(given: dict[str, Any]) -> dict[str, Any]:
    """Every sound by every node of the host that writes one; what the files hold, by node."""
    from comfy_extras import nodes_audio

    folder, found = given["folder"], []
    _saving_into(folder)
    for number, sound in enumerate(given["sounds"]):
        made = {}
        for name in ("SaveAudio", "SaveAudioMP3", "SaveAudioOpus", "PreviewAudio"):
            node, before = getattr(nodes_audio, name)(), set(_newest(folder, set()))
            more = {} if name == "PreviewAudio" else {"filename_prefix": f"sound{number}"}
            getattr(node, node.FUNCTION)(sound, **more)
            made[name] = [_read(path) for path in _newest(folder, before)]
        found.append(made)
    return {"saved": found}


def save_videos(given: dict[str, Any]) -> dict[str, Any]:
    """Every clip through Create Video and Save Video; what the files hold."""
    from fractions import Fraction

    from comfy_extras import nodes_video

    folder, found = given["folder"], []
    _saving_into(folder)
    for number, clip in enumerate(given["clips"]):
        before = set(_newest(folder, set()))
        video = nodes_video.CreateVideo.execute(clip["frames"], float(Fraction(*clip["rate"])), clip["audio"]).args[0]
        nodes_video.SaveVideo.execute(video, f"clip{number}", "auto", "auto")
        (path,) = _newest(folder, before)
        found.append(_read(path))
    return {"saved": found}


ACTIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "vae_shapes": vae_shapes,
    "decode": decode,
    "encode": encode,
    "noise": noise,
    "sample": sample,
    "predict_with_lora": predict_with_lora,
    "save_sounds": save_sounds,
    "save_videos": save_videos,
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
