"""Families of single-file checkpoints, as rows: how a header shows them, and where each part's tensors lie.

A row's config folder in `configs/` was made by us from the families' public descriptions. A new family is a new row and
a new folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import AigcError
from .weights import TensorInfo, read_notes

Header = Mapping[str, TensorInfo]
Dims = tuple[int | None, ...]

CONFIGS = Path(__file__).parent / "configs"

# What may stand before a denoiser's tensors: saved with the whole model, or alone.
DENOISER = ("model.diffusion_model.", "diffusion_model.", "model.", "")
VAE = ("first_stage_model.", "vae.")
SD = {"unet": DENOISER[:1], "vae": VAE, "text_encoder": ("cond_stage_model.transformer.",)}
SD2 = {**SD, "text_encoder": ("cond_stage_model.model.",)}
SDXL = {
    **SD,
    "text_encoder": ("conditioner.embedders.0.transformer.",),
    "text_encoder_2": ("conditioner.embedders.1.model.",),
}
SD3 = {
    "transformer": DENOISER,
    "vae": VAE,
    "text_encoder": ("text_encoders.clip_l.transformer.",),
    "text_encoder_2": ("text_encoders.clip_g.transformer.",),
    "text_encoder_3": ("text_encoders.t5xxl.transformer.",),
}
FLUX = {
    "transformer": DENOISER,
    "vae": VAE,
    "text_encoder": ("text_encoders.clip_l.transformer.",),
    "text_encoder_2": ("text_encoders.t5xxl.transformer.",),
}


def _with_encoder(name: str) -> dict[str, tuple[str, ...]]:
    return {"transformer": DENOISER, "vae": VAE, "text_encoder": (f"text_encoders.{name}.transformer.",)}


T5, UMT5 = _with_encoder("t5xxl"), _with_encoder("umt5xxl")
WAN_I2V = {**UMT5, "image_encoder": ("clip_vision.",)}
QWEN, QWEN3, GEMMA, PILE = (_with_encoder(name) for name in ("qwen25_7b", "qwen3_4b", "gemma2_2b", "pile_t5xl"))
QWEN3_8B = _with_encoder("qwen3_8b")
HUNYUAN15 = {**QWEN, "text_encoder_2": ("text_encoders.byt5_small.transformer.",)}
HUNYUAN15_I2V = {**HUNYUAN15, "image_encoder": ("clip_vision.",)}

IN = "input_blocks.0.0.weight"  # [width, in_channels, 3, 3]
SD_TEXT = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"  # [width, text width]
XL_TEXT = "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
SD3_PLACES = "pos_embed"  # [1, positions, width]
SD35_NORM = "joint_blocks.0.x_block.attn.ln_q.weight"
FLUX_IMAGE = "img_in.weight"  # [width, in_channels]
FLUX_BLOCK = "double_blocks.0.img_attn.norm.key_norm.scale"
FLUX_GUIDANCE = "guidance_in.in_layer.weight"
CHROMA = "distilled_guidance_layer.in_proj.weight"
CHROMA_PIXELS = "nerf_blocks.0.norm.scale"  # Radiance works without an autoencoder
FLUX2 = "double_stream_modulation_img.lin.weight"  # [6 * width, width]
FLUX2_TEXT = "txt_in.weight"  # [width, text width]
WAN = "patch_embedding.weight"  # [width, in_channels, 1, 2, 2]
WAN_HEAD = "head.modulation"  # [1, 2, width]
WAN_IMAGE = "img_emb.proj.0.bias"
# Wan's further inputs, by what only they have: VACE, Animate, camera, speech, first and last frame.
WAN_OTHERS = (
    "vace_patch_embedding.weight", "face_adapter.fuser_blocks.0.k_norm.weight", "control_adapter.conv.weight",
    "casual_audio_encoder.encoder.final_linear.weight", "audio_proj.audio_proj_glob_1.layer.bias",
    "img_emb.emb_pos", "ref_conv.weight",
)  # fmt: skip
QWEN_NORM = "txt_norm.weight"  # [text width]
QWEN_IMAGE = "img_in.weight"
QWEN_OTHERS = ("time_text_embed.addition_t_embedding.weight", "__index_timestep_zero__")
CAPTION = "cap_embedder.1.weight"  # [width, text width]
Z_PADDING = "cap_pad_token"
Z_OTHERS = ("siglip_embedder.1.weight", "control_layers.0.before_proj.weight")
LTX_IN = "patchify_proj.weight"  # [width, 128]
LTX_WIDTH = "transformer_blocks.0.scale_shift_table"
LTX2_AUDIO = "audio_patchify_proj.weight"
LTX_TIMED = "vae.decoder.last_time_embedder.timestep_embedder.linear_1.weight"
LTX_ENCODER = "vae.encoder.conv_out.conv.weight"
HUNYUAN_15 = "cond_type_embedding.weight"
HUNYUAN_IN = "img_in.proj.weight"  # [width, in_channels, 1, 1, 1]
# Of the one that leaps over steps, in the makers' spelling and in ComfyUI's.
HUNYUAN_MEAN = ("time_r_in.mlp.0.weight", "time_r_in.in_layer.weight")
AURA = "double_layers.0.attn.w1q.weight"
AURA_PLACES = "positional_encoding"  # [1, positions, width]


@dataclass(frozen=True)
class Family:
    """One kind of checkpoint.

    config: its folder in `configs/`. name: what people call it.
    prefixes: part -> what may stand before its tensors' names.
    marks: denoiser tensor -> the dimensions that it has (None: any); all of them must fit. absent: must not be there.
    words: the tensor beside the text encoder that holds its tokenizer's sentencepiece model; "" for the host's files.
    pipelines: where no config is shipped (config is ""), the classes whose folder of the user's own describes the rest.
    """

    config: str
    name: str
    prefixes: Mapping[str, tuple[str, ...]]
    marks: Mapping[str, Dims]
    absent: tuple[str, ...] = ()
    words: str = ""
    pipelines: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return CONFIGS / self.config


def _wan(config: str, name: str, prefixes: Mapping, width: int, channels: int, out: int, **rest) -> Family:
    more = rest.pop("more", {})
    marks = {WAN: (width, channels), WAN_HEAD: (1, 2, width), "head.head.weight": (4 * out, width), **more}
    absent = (*WAN_OTHERS, *rest.pop("absent", ()))
    return Family(config, name, prefixes, marks, absent, words="spiece_model")


FAMILIES = (
    Family("sd15", "SD 1.5", SD, {IN: (None, 4), SD_TEXT: (None, 768)}),
    Family("sd15_inpaint", "SD 1.5 inpainting", SD, {IN: (None, 9), SD_TEXT: (None, 768)}),
    Family("sd2", "SD 2", SD2, {IN: (None, 4), SD_TEXT: (None, 1024)}),
    Family("sdxl", "SDXL", SDXL, {IN: (None, 4), XL_TEXT: (None, 2048)}, absent=("v_pred",)),
    Family("sdxl_v", "SDXL (v-prediction)", SDXL, {IN: (None, 4), XL_TEXT: (None, 2048), "v_pred": ()}),
    Family("sd3_medium", "SD 3 medium", SD3, {SD3_PLACES: (1, 192 * 192, 1536)}, absent=(SD35_NORM,)),
    Family("sd35_medium", "SD 3.5 medium", SD3, {SD3_PLACES: (1, 384 * 384, 1536), SD35_NORM: ()}),
    Family("sd35_large", "SD 3.5 large", SD3, {SD3_PLACES: (1, 192 * 192, 2432), SD35_NORM: ()}),
    Family("flux_dev", "FLUX.1 dev", FLUX, {FLUX_IMAGE: (3072, 64), FLUX_BLOCK: (), FLUX_GUIDANCE: ()}),
    Family(
        "flux_schnell", "FLUX.1 schnell", FLUX, {FLUX_IMAGE: (3072, 64), FLUX_BLOCK: ()}, absent=(FLUX_GUIDANCE, CHROMA)
    ),
    Family("chroma", "Chroma", T5, {FLUX_IMAGE: (3072, 64), CHROMA: (5120, 64)}, absent=(CHROMA_PIXELS,)),
    _wan("wan21_t2v_1_3b", "Wan 2.1 text-to-video 1.3B", UMT5, 1536, 16, 16, absent=(WAN_IMAGE,)),
    _wan("wan21_t2v_14b", "Wan text-to-video 14B", UMT5, 5120, 16, 16, absent=(WAN_IMAGE,)),
    _wan("wan21_i2v_14b", "Wan 2.1 image-to-video 14B", WAN_I2V, 5120, 36, 16, more={WAN_IMAGE: (1280,)}),
    _wan("wan22_i2v_14b", "Wan 2.2 image-to-video 14B", UMT5, 5120, 36, 16, absent=(WAN_IMAGE,)),
    _wan("wan22_ti2v_5b", "Wan 2.2 text-and-image-to-video 5B", UMT5, 3072, 48, 48, absent=(WAN_IMAGE,)),
    Family("flux2_klein_4b", "FLUX.2 klein 4B", QWEN3, {FLUX2: (18432, 3072), FLUX2_TEXT: (3072, 7680)}),
    Family("flux2_klein_9b", "FLUX.2 klein 9B", QWEN3_8B, {FLUX2: (24576, 4096), FLUX2_TEXT: (4096, 12288)}),
    Family(
        "hunyuan15_t2v_720p",
        "HunyuanVideo 1.5 text-to-video 720p",
        HUNYUAN15,
        {HUNYUAN_15: (3, 2048), HUNYUAN_IN: (2048, 65)},
        absent=HUNYUAN_MEAN,
    ),
    Family(
        "qwen_image_edit_2511",
        "Qwen-Image Edit 2511",
        QWEN,
        {QWEN_NORM: (3584,), QWEN_IMAGE: (3072, 64), QWEN_OTHERS[1]: ()},
        absent=QWEN_OTHERS[:1],
    ),
    Family("qwen_image", "Qwen-Image", QWEN, {QWEN_NORM: (3584,), QWEN_IMAGE: (3072, 64)}, absent=QWEN_OTHERS),
    Family("z_image", "Z-Image", QWEN3, {CAPTION: (3840, 2560), Z_PADDING: ()}, absent=Z_OTHERS),
    Family("lumina2", "Lumina 2", GEMMA, {CAPTION: (2304, 2304)}, words="spiece_model"),
    Family("auraflow", "AuraFlow", PILE, {AURA: (3072,), AURA_PLACES: (1, 32 * 32)}),
    Family("auraflow_large", "AuraFlow (9216 places)", PILE, {AURA: (3072,), AURA_PLACES: (1, 96 * 96)}),
    Family("ltx_097", "LTX-Video 13B 0.9.7", T5, {LTX_IN: (4096, 128), LTX_WIDTH: (6, 4096)}, absent=(LTX2_AUDIO,)),
    Family("ltx_095", "LTX-Video 0.9.5", T5, {LTX_IN: (2048, 128), LTX_ENCODER: (None, 2048)}, absent=(LTX2_AUDIO,)),
    Family("ltx_091", "LTX-Video 0.9.1", T5, {LTX_IN: (2048, 128), LTX_TIMED: ()}, absent=(LTX2_AUDIO,)),
    Family("ltx_090", "LTX-Video 0.9.0", T5, {LTX_IN: (2048, 128), LTX_ENCODER: (None, 512)}, absent=(LTX2_AUDIO,)),
)
BY_CONFIG = {family.config: family for family in FAMILIES}
# The same architecture with another objective; only values tell them apart (see `single_file.settled`).
BY_CONFIG["sd2_base"] = Family("sd2_base", "SD 2 base", SD2, {})
# Families whose tensors are another one's, which only the file's name tells: a pattern in it, and the family. The first
# that fits counts, and without one the file is what its tensors say.
NAMED: Mapping[str, tuple[tuple[str, Family], ...]] = {
    "qwen_image": (
        (r"edit.*(2509|plus)", Family("qwen_image_edit_2509", "Qwen-Image Edit 2509", QWEN, {})),
        (r"edit", Family("qwen_image_edit", "Qwen-Image Edit", QWEN, {})),
    ),
    "wan21_t2v_14b": (
        (r"wan.?2.?2|(high|low).?noise", Family("wan22_t2v_14b", "Wan 2.2 text-to-video 14B", UMT5, {}, words="spiece_model")),
    ),
    "hunyuan15_t2v_720p": (
        (r"480p.*i2v|i2v.*480p", Family("hunyuan15_i2v_480p", "HunyuanVideo 1.5 image-to-video 480p", HUNYUAN15_I2V, {})),
        (r"i2v", Family("hunyuan15_i2v_720p", "HunyuanVideo 1.5 image-to-video 720p", HUNYUAN15_I2V, {})),
        (r"480p", Family("hunyuan15_t2v_480p", "HunyuanVideo 1.5 text-to-video 480p", HUNYUAN15, {})),
    ),
}  # fmt: skip
BY_CONFIG |= {family.config: family for rows in NAMED.values() for _, family in rows}


def _described(name: str, marks: Mapping[str, Dims], *pipelines: str, absent: tuple[str, ...] = ()) -> Family:
    return Family("", name, {"transformer": DENOISER, "vae": VAE}, marks, absent, pipelines=pipelines)


# Families whose files are read by the configs of a diffusers folder that the user has; tried after the others.
DESCRIBED = (
    # dev: its folder has a text encoder that sees pictures, and a tokenizer with a template; ComfyUI's file has neither.
    _described("FLUX.2", {FLUX2: ()}, "Flux2Pipeline", "Flux2KleinPipeline"),
    _described("FLUX.1 with further inputs (Fill, Canny, Depth)", {FLUX_IMAGE: (3072,), FLUX_BLOCK: ()},
               "FluxFillPipeline", "FluxControlPipeline", absent=(CHROMA,)),
    _described("SD 3 of another size", {"joint_blocks.0.x_block.attn.qkv.weight": ()}, "StableDiffusion3Pipeline"),
    _described("Wan VACE", {WAN: (), WAN_OTHERS[0]: ()}, "WanVACEPipeline"),
    _described("Wan Animate", {WAN: (), WAN_OTHERS[1]: ()}, "WanAnimatePipeline"),
    _described("Wan of another size", {WAN: (), WAN_HEAD: ()}, "WanPipeline", "WanImageToVideoPipeline",
               absent=WAN_OTHERS),
    _described("HunyuanVideo", {"txt_in.individual_token_refiner.blocks.0.norm1.weight": ()}, "HunyuanVideoPipeline",
               "HunyuanVideoImageToVideoPipeline", absent=(HUNYUAN_15,)),
    _described("HunyuanVideo 1.5 of another kind", {HUNYUAN_15: ()}, "HunyuanVideo15ImageToVideoPipeline",
               "HunyuanVideo15Pipeline"),
    _described("LTX-Video without its autoencoder, which tells the version", {LTX_IN: (), LTX_WIDTH: ()}, "LTXPipeline",
               "LTXConditionPipeline", "LTXImageToVideoPipeline", absent=(LTX2_AUDIO,)),
    _described("Qwen-Image Layered", {QWEN_NORM: (), QWEN_OTHERS[0]: ()}, "QwenImageLayeredPipeline"),
    _described("Qwen-Image of another size", {QWEN_NORM: (), QWEN_IMAGE: ()}, "QwenImagePipeline", absent=QWEN_OTHERS),
    _described("HiDream", {"caption_projection.0.linear.weight": ()}, "HiDreamImagePipeline"),
)  # fmt: skip

# Kinds that are recognised and not read: a piece of a tensor's name that only they have.
OTHERS = {
    "Chroma Radiance": CHROMA_PIXELS,
    "LTX-2": LTX2_AUDIO,
    "PixArt or Sana": "cross_attn.kv_linear.weight",
    "a LoRA": "lora_",
    "a ControlNet": "zero_conv",
}
FOLDER = "Get the model as a diffusers folder and put it into models/diffusers."


def find(header: Header, name: str) -> TensorInfo | None:
    """A denoiser's tensor by its own name, whatever stands before it."""
    return next((header[prefix + name] for prefix in DENOISER if prefix + name in header), None)


def _fits(header: Header, name: str, dims: Dims) -> bool:
    info = find(header, name)
    if info is None or len(dims) > len(info.shape):
        return False
    return all(want in (None, have) for want, have in zip(dims, info.shape, strict=False))


def recognise(header: Header, path: Path) -> Family:
    """The family of a checkpoint with this header; AigcError says what was seen when it is another one."""
    for family in (*FAMILIES, *DESCRIBED):
        marked = all(_fits(header, name, dims) for name, dims in family.marks.items())
        if marked and not any(find(header, name) for name in family.absent):
            return family
    names = ", ".join(family.name for family in FAMILIES)
    kind, remedy = _kind(header)
    raise AigcError(
        f"Expected a checkpoint of {names}, got {kind + ': ' if kind else ''}{seen(header, path)} in {path}. "
        f"Every model is read as a diffusers folder. {remedy}"
    )


def _kind(header: Header) -> tuple[str, str]:
    """What an unread file is, as far as its tensors say, and what to do."""
    first, text = find(header, IN), find(header, XL_TEXT)
    if text is not None and text.shape[-1] == 1280:
        return "the SDXL refiner", "Get the base model."
    if first is not None and first.shape[1] != 4:
        return f"a UNet with {first.shape[1]} input channels (inpainting or editing)", FOLDER
    if first is not None:
        return "a UNet that is neither SD 1.5, SD 2 nor SDXL", FOLDER
    return next((name for name, piece in OTHERS.items() if any(piece in key for key in header)), ""), FOLDER


def seen(header: Header, path: Path) -> str:
    """What a header holds, for an error: how many tensors, the groups with most of them, and what its author noted."""
    groups = Counter(".".join(key.split(".")[:2]) if key.startswith("model.") else key.split(".")[0] for key in header)
    most = ", ".join(f"{name} ({count})" for name, count in groups.most_common(4))
    notes = "; ".join(f"{key}: {value[:60]}" for key, value in list(read_notes(path).items())[:3])
    tensors = f"{len(header)} tensors" + (f", most of them below {most}" if most else "")
    return f"{tensors}, with the notes {notes}" if notes else f"{tensors}, without notes"
