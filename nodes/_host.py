# Long: the one door to the host, a paragraph for each thing behind it
"""The only module that touches the host: its folders, its memory manager, its progress bar."""

from __future__ import annotations

import json
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import comfy.model_management as mm
import comfy.model_patcher
import comfy.utils
import folder_paths
import torch
from comfy.cli_args import LatentPreviewMethod, args
from comfy_execution.graph import ExecutionBlocker
from torch import nn

from ..pipelines.errors import AigcError
from ..pipelines.runtime import DTYPES, Runtime

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..pipelines.score.learning import Space
    from ..pipelines.score.training import Report
    from ..pipelines.sources import Roots, Watch

PACK = Path(__file__).resolve().parent.parent
# The host's tokenizer files below its own package, used in place.
TOKENIZERS = {
    "clip": "sd1_tokenizer",
    "t5": "text_encoders/t5_tokenizer",
    "qwen": "text_encoders/qwen25_tokenizer",
    "pile": "text_encoders/t5_pile_tokenizer",
}


def roots() -> Roots:
    """The host's model folders as they are configured now, and the models shipped with this pack."""
    from ..pipelines.sources import Roots

    def folders(kind: str) -> tuple[Path, ...]:
        return tuple(Path(folder) for folder in folder_paths.get_folder_paths(kind))

    def beside(kind: str) -> tuple[Path, ...]:
        """Folders of a kind that only other packs register: theirs, else the usual one below the host's models."""
        return folders(kind) if kind in folder_paths.folder_names_and_paths else (Path(folder_paths.models_dir) / kind,)

    comfy_folder = Path(comfy.utils.__file__).parent
    return Roots(
        embedded=(PACK / "models",),
        diffusers=folders("diffusers"),
        checkpoints=folders("checkpoints"),
        loras=(*folders("loras"), PACK / "models" / "lora"),
        embeddings=folders("embeddings"),
        denoisers=folders("diffusion_models"),
        parts=(*folders("vae"), *folders("text_encoders"), *folders("clip_vision")),
        controls=folders("controlnet"),
        references=beside("ipadapter"),
        judges=(PACK / "models" / "judges", *beside("judges")),
        gans=(PACK / "models" / "gan", *beside("gan")),
        packages=beside("packages"),
        language_models=beside("LLM"),
        image_encoders=(*folders("clip_vision"), *beside("image_encoders")),
        tokenizers={kind: comfy_folder / folder for kind, folder in TOKENIZERS.items()},
    )


class _Shell(nn.Module):
    """A plain module around a part: the host sets `device` on what it patches, and diffusers forbids that."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part


class WholeModelPatcher(comfy.model_patcher.ModelPatcher):
    """Loads all of a model or nothing: layers that are not the host's own cannot run half loaded."""

    def partially_load(self, device_to: Any, extra_memory: int = 0, force_patch_weights: bool = False) -> int:
        self.patch_model(load_weights=False)
        if self.model.model_loaded_weight_memory == 0:
            with torch.inference_mode(False):  # weights moved inside of it have no slope, and judges need theirs
                self.model.to(device_to)
            self.model.device = device_to
            self.model.model_loaded_weight_memory = self.model_size()
        return self.model_size()

    def partially_unload(self, *args: Any, **kwargs: Any) -> int:
        return 0  # nothing freed: the host goes on to unload the whole model


class HostRuntime(Runtime):
    """Weights come and go through the host's memory manager: its models and ours make room for each other."""

    def __init__(self) -> None:
        self.device = mm.get_torch_device()
        # The host keeps weak references only: a patcher that nobody holds counts as a leak there.
        self._patchers: dict[int, WholeModelPatcher] = {}

    def dtype_for(self, role: str, wanted: str = "auto") -> torch.dtype:
        if wanted != "auto":
            return DTYPES[wanted]
        if role == "vae":
            return mm.vae_dtype(self.device, [torch.bfloat16, torch.float32])
        if mm.should_use_bf16(self.device):
            return torch.bfloat16
        return torch.float16 if mm.should_use_fp16(self.device) else torch.float32

    def patcher(self, part: nn.Module) -> WholeModelPatcher:
        """What the host loads and frees this part by; one for as long as the part is not released."""
        if id(part) not in self._patchers:
            self._patchers[id(part)] = WholeModelPatcher(_Shell(part), self.device, mm.unet_offload_device())
        return self._patchers[id(part)]

    @contextmanager
    def placed(self, parts: Sequence[nn.Module], activation_bytes: int = 0) -> Iterator[None]:
        mm.load_models_gpu([self.patcher(part) for part in parts], memory_required=activation_bytes)
        yield

    def release(self, parts: Sequence[nn.Module]) -> None:
        """Forget the patchers: the host's weak entries go with them, the memory with the caller's parts."""
        for part in parts:
            self._patchers.pop(id(part), None)

    def check_interrupt(self) -> None:
        mm.throw_exception_if_processing_interrupted()

    def free_bytes(self) -> int:
        return int(mm.get_free_memory(self.device))


@lru_cache(maxsize=1)
def runtime() -> HostRuntime:
    """The one runtime of this process: it holds what is loaded."""
    return HostRuntime()


def reporter() -> Callable[[int, int, Callable[[], Image | None]], None]:
    """`on_step` for the engine: progress, pictures if the host's --preview-method wants any, interrupt.

    Call it inside execute: a host's progress bar belongs to the node that makes it.
    """
    bar = comfy.utils.ProgressBar(1)

    def on_step(step: int, total: int, preview: Callable[[], Image | None]) -> None:
        mm.throw_exception_if_processing_interrupted()
        wanted = args.preview_method != LatentPreviewMethod.NoPreviews
        picture = preview() if wanted else None  # None as well for what has no picture, such as sound
        bar.update_absolute(step, total, ("JPEG", picture, args.preview_size) if picture else None)

    return on_step


def _drawing(draw: Callable[[Any], Image], least: float) -> Callable[[int, int, Any], None]:
    """`on_step` of a training: progress, the interrupt, and its picture as the node's preview.

    Drawn every `least` seconds, and less often when drawing takes more than a fiftieth of the time.
    """
    bar, due = comfy.utils.ProgressBar(1), 0.0

    def on_step(done: int, total: int, state: Any) -> None:
        nonlocal due
        mm.throw_exception_if_processing_interrupted()
        picture, now = None, time.monotonic()
        if now > due:
            picture = draw(state)
            due = now + max(least, 50 * (time.monotonic() - now))
        bar.update_absolute(done, max(done, total), ("JPEG", picture, max(picture.size)) if picture else None)

    return on_step


def charter() -> Callable[[int, int, Report], None]:
    """`on_step` of a judge's training. Call it inside execute: a host's progress bar belongs to the node that makes it."""
    from ..pipelines.score import curve

    return _drawing(curve.drawn, 1.0)


def training() -> dict[str, Any]:
    """What every run takes from the host: where it computes, how it is watched, what stops it. Call it inside execute."""
    from ..pipelines.train import chart

    stops = (mm.InterruptProcessingException,)
    return {"runtime": runtime(), "on_step": _drawing(chart.drawn, 2.0), "stops": stops}


def pictogram_folder() -> Path:
    """The embedded model's: its vocabulary says what it draws."""
    return PACK / "models" / "pictogram"


def shipped_autoencoder() -> Path:
    """The embedded model's: what a diffusion model is trained on when none was trained for it."""
    return pictogram_folder() / "vae"


def font_folders() -> tuple[Path, ...]:
    """Where a user's fonts lie: the host's models/fonts, and what other packs registered under that name."""
    usual = Path(folder_paths.models_dir) / "fonts"
    known = folder_paths.get_folder_paths("fonts") if "fonts" in folder_paths.folder_names_and_paths else ()
    return tuple(dict.fromkeys([*map(Path, known), usual]))


def music_model() -> Path:
    """The model that writes tunes."""
    return PACK / "models" / "music"


def run_folder(name: str) -> Path:
    """Where a training of this name is kept: output/runs/<name>. Raises AigcError for a bad name."""
    from ..pipelines import names

    return Path(folder_paths.get_output_directory()) / "runs" / names.checked(name, "the run")


def run_stamp(name: str) -> str:
    """What changes when a run goes on, so that a node trains on where it stopped. Never raises."""
    try:
        return str((run_folder(name) / "last.safetensors").stat().st_mtime_ns)
    except (AigcError, OSError):
        return ""


def searching() -> dict[str, Any]:
    """What a search that shows what it has found takes from the host, as `training` gives it."""
    stops = (mm.InterruptProcessingException,)
    return {"runtime": runtime(), "on_step": _drawing(lambda preview: preview(), 1.0), "stops": stops}


def speaking() -> dict[str, Any]:
    """What speech takes from the host: its folders, its watch over downloads, progress a piece, and what stops it."""
    stops = (mm.InterruptProcessingException,)
    return {"roots": roots(), "runtime": runtime(), "watch": watch(), "on_piece": counter(), "stops": stops}


def gan_folder() -> Path:
    """Where GANs that are made or converted here go: the host's models/gan."""
    return Path(roots().gans[-1])


def lora_file(name: str) -> Path:
    """Where a LoRA that is made here goes: the host's models/loras. Raises AigcError for a bad name."""
    from ..pipelines import names

    return Path(folder_paths.get_folder_paths("loras")[0]) / f"{names.checked(name, 'the LoRA')}.safetensors"


def judge_folder() -> Path:
    """Where judges that are made here go: the host's models/judges."""
    return Path(roots().judges[-1])


def latent_of(model: Any, device: Any = "cpu") -> torch.Tensor:
    """A small LATENT of zeros as this MODEL takes it."""
    form = model.model.latent_format
    cells = (8,) * form.latent_dimensions if form.latent_dimensions < 3 else (1, 8, 8)
    return torch.zeros(1, form.latent_channels, *cells, device=device)


def space_of(model: Any) -> Space:
    """The space of a MODEL's denoiser, as a LATENT maps into it."""
    from ..pipelines.score.learning import affine

    def into(samples: torch.Tensor) -> torch.Tensor:
        return model.model.process_latent_in(samples.clone())

    return affine(into, latent_of(model), f"latent:{type(model.model).__name__}")


def watch() -> Watch:
    """A download on the progress bar of the node that runs, ended by the host's interrupt.

    Call it inside execute: a host's progress bar belongs to the node that makes it.
    """
    from ..pipelines.sources import Watch

    bar = comfy.utils.ProgressBar(1)
    return Watch(lambda done, total, _: bar.update_absolute(done, total), mm.throw_exception_if_processing_interrupted)


def counter() -> Callable[[int, int], None]:
    """`on_picture` for the engine: done and total on the progress bar of the node that runs, and the host's interrupt."""
    bar = comfy.utils.ProgressBar(1)

    def on_picture(done: int, total: int) -> None:
        mm.throw_exception_if_processing_interrupted()
        bar.update_absolute(done, total)

    return on_picture


def writer() -> Callable[[str, int, int], None]:
    """`on_text` for the engine: what is written so far on the node that runs, ten times a second, and its progress bar.

    Call it inside execute: a host's progress bar belongs to the node that makes it.
    """
    from comfy_execution.utils import get_executing_context
    from server import PromptServer

    bar, context, sent = comfy.utils.ProgressBar(1), get_executing_context(), 0.0
    server = getattr(PromptServer, "instance", None)

    def on_text(text: str, done: int, most: int) -> None:
        nonlocal sent
        now = time.monotonic()
        if now - sent < 0.1 and done < most:
            return
        sent = now
        bar.update_absolute(done, most)
        if server is not None and context is not None and server.client_id is not None:
            said = {"prompt_id": context.prompt_id, "node": context.node_id, "text": text}
            server.send_sync("aigc_text", said, server.client_id)

    return on_text


def input_folder() -> Path:
    """What a relative folder of pictures starts at."""
    return Path(folder_paths.get_input_directory())


def pictures_stamp(place: str, *, below: bool = False) -> str:
    """What changes when the pictures of a folder do, for a node that must run again then. Never raises."""
    from ..pipelines.score import folder, pictures

    try:
        return folder.listing(pictures.listed(place, input_folder(), below=below)) if place.strip() else ""
    except (AigcError, OSError):
        return place


def example_sets() -> dict[str, Path]:
    """The data sets that are shipped with this pack, by name."""
    from ..pipelines.data import collecting

    return collecting.shipped(PACK / "models" / "data")


def collected_folder() -> Path:
    """Where pictures of a wire that belong to a dataset are kept: a training may be resumed much later."""
    return Path(folder_paths.get_output_directory()) / "aigc" / "collected"


def dataset_stamp(folder: str, *, below: bool = True) -> str:
    """What changes when the pictures that a dataset is collected from do, or the captions beside them. Never raises."""
    from ..pipelines.data import collecting

    return collecting.stamp(collecting.places(folder), input_folder(), named=example_sets(), below=below)


@dataclass(frozen=True)
class Place:
    """Where a prefix such as "aigc/name" saves to: stem is "name", counter the first number that is free."""

    folder: Path
    stem: str
    counter: int
    subfolder: str

    def names(self, count: int) -> list[str]:
        """File names as the host's Save Image gives them."""
        return [f"{self.stem.replace('%batch_num%', str(i))}_{self.counter + i:05}_.png" for i in range(count)]

    def shown(self, name: str) -> dict[str, str]:
        """One of the files, as the canvas wants it."""
        return {"filename": name, "subfolder": self.subfolder, "type": "output"}


def save_place(prefix: str, width: int = 0, height: int = 0) -> Place:
    """Below the host's output folder, by its own rules. Raises AigcError for a prefix that leads out of it."""
    given = prefix.strip()
    if not Path(given).name or Path(given).name in (".", "..") or given.endswith(("/", "\\")):
        raise AigcError(f"Expected a name to save under, got '{prefix}': fill in folder/name.")
    output = Path(folder_paths.get_output_directory()).resolve()
    if not (output / given).resolve().is_relative_to(output):
        raise AigcError(f"Expected a name below the output folder, got '{prefix}': leave out what leads out of it.")
    folder, stem, number, subfolder, _ = folder_paths.get_save_image_path(given, str(output), width, height)
    return Place(Path(folder), stem, number, subfolder)


def picture_texts(hidden: Any) -> dict[str, str]:
    """What the host's Save Image writes into a PNG: the prompt and the workflow; nothing with --disable-metadata."""
    if args.disable_metadata:
        return {}
    known = {"prompt": hidden.prompt} if hidden.prompt is not None else {}
    return {key: json.dumps(value) for key, value in {**known, **(hidden.extra_pnginfo or {})}.items()}


def stop_quietly() -> ExecutionBlocker:
    """An output that keeps what hangs on it from running, without an error."""
    return ExecutionBlocker(None)


def with_post_cfg(model: Any, change: Callable[[dict[str, Any]], torch.Tensor], parts: Sequence[nn.Module]) -> Any:
    """A clone of a MODEL whose estimates of the clean sample go through `change`; `parts` are loaded whenever it is."""
    clone = model.clone()
    clone.set_model_sampler_post_cfg_function(change)
    patchers = [runtime().patcher(part) for part in parts]
    clone.set_additional_models(f"aigc {id(change)}", patchers)
    return clone


_wires = 0  # models and judges that the host's cache still holds
Wired = TypeVar("Wired")


def keep_while_wired(model: Wired) -> Wired:
    """Empty the engine's caches when the last model and judge leave the host's cache.

    That is what the host's "free model and node cache" does; no host of today offers a hook for it.
    """
    global _wires
    _wires += 1
    weakref.finalize(model, _unwired)
    return model


def _unwired() -> None:
    global _wires
    _wires -= 1
    if _wires == 0:
        from ..pipelines.gan import opening
        from ..pipelines.score import judges
        from ..pipelines.stages import pipe
        from ..pipelines.text import opening as language

        opening.release_all(runtime())
        pipe.release_all()
        judges.release_all(runtime())
        language.release_all(runtime())
