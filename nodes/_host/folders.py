"""Where things lie: the host's folders as they are configured now, and what ships with this pack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import comfy.utils
import folder_paths

from ...pipelines.errors import AigcError

if TYPE_CHECKING:
    from ...pipelines.sources import Roots

PACK = Path(__file__).resolve().parents[2]

# The host's tokenizer files below its own package, used in place.
TOKENIZERS = {
    "clip": "sd1_tokenizer",
    "t5": "text_encoders/t5_tokenizer",
    "qwen": "text_encoders/qwen25_tokenizer",
    "pile": "text_encoders/t5_pile_tokenizer",
}


def roots() -> Roots:
    """The host's model folders as they are configured now, and the models shipped with this pack."""
    from ...pipelines.sources import Roots

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


def motion_layers() -> Path:
    """What sets the embedded model's stills in motion."""
    return PACK / "models" / "motion" / "pictogram.safetensors"


def music_model() -> Path:
    """The model that writes tunes."""
    return PACK / "models" / "music"


def run_folder(name: str) -> Path:
    """Where a training of this name is kept: output/runs/<name>. Raises AigcError for a bad name."""
    from ...pipelines import names

    return Path(folder_paths.get_output_directory()) / "runs" / names.checked(name, "the run")


def run_stamp(name: str) -> str:
    """What changes when a run goes on, so that a node trains on where it stopped. Never raises."""
    try:
        return str((run_folder(name) / "last.safetensors").stat().st_mtime_ns)
    except (AigcError, OSError):
        return ""


def gan_folder() -> Path:
    """Where GANs that are made or converted here go: the host's models/gan."""
    return Path(roots().gans[-1])


def lora_file(name: str) -> Path:
    """Where a LoRA that is made here goes: the host's models/loras. Raises AigcError for a bad name."""
    from ...pipelines import names

    return Path(folder_paths.get_folder_paths("loras")[0]) / f"{names.checked(name, 'the LoRA')}.safetensors"


def judge_folder() -> Path:
    """Where judges that are made here go: the host's models/judges."""
    return Path(roots().judges[-1])


def input_folder() -> Path:
    """What a relative folder of pictures starts at."""
    return Path(folder_paths.get_input_directory())


def pictures_stamp(place: str, *, below: bool = False) -> str:
    """What changes when the pictures of a folder do, for a node that must run again then. Never raises."""
    from ...pipelines.score import folder, pictures

    try:
        return folder.listing(pictures.listed(place, input_folder(), below=below)) if place.strip() else ""
    except (AigcError, OSError):
        return place


def example_sets() -> dict[str, Path]:
    """The data sets that are shipped with this pack, by name."""
    from ...pipelines.data import collecting

    return collecting.shipped(PACK / "models" / "data")


def collected_folder() -> Path:
    """Where pictures of a wire that belong to a dataset are kept: a training may be resumed much later."""
    return Path(folder_paths.get_output_directory()) / "aigc" / "collected"


def dataset_stamp(folder: str, *, below: bool = True) -> str:
    """What changes when the pictures that a dataset is collected from do, or the captions beside them. Never raises."""
    from ...pipelines.data import collecting

    return collecting.stamp(collecting.places(folder), input_folder(), named=example_sets(), below=below)
