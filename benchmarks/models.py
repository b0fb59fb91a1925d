"""Models with random weights for the benches, built in a temporary folder that is removed afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.interop.models import filled, full_vae, sd15_unet
from tests.pipelines import tiny

from .figures import ROOT

PICTOGRAM = ROOT / "models" / "pictogram"


def sd15() -> Any:
    """Stable Diffusion 1.5 at its published size: UNet 860 M, CLIP ViT-L/14 123 M, autoencoder 84 M parameters."""
    from transformers import CLIPTextConfig, CLIPTextModel

    pipe = tiny.pipeline("sd15")
    config = CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
        projection_dim=768, bos_token_id=49406, eos_token_id=49407,
    )  # fmt: skip
    text = filled(lambda: CLIPTextModel(config))
    pipe.register_modules(unet=filled(sd15_unet), vae=full_vae("sd15"), text_encoder=text)
    return pipe


def sd3_shaped() -> Any:
    """SD3's parts with a text encoder larger than the denoiser: T5 1.3 GB, MMDiT 0.7 GB, autoencoder 0.3 GB in fp32."""
    from diffusers import SD3Transformer2DModel
    from transformers import T5Config, T5EncoderModel

    pipe = tiny.pipeline("sd3")
    t5 = T5Config(
        vocab_size=32128, d_model=1024, d_kv=64, d_ff=2816, num_layers=24, num_heads=16,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    transformer = filled(
        lambda: SD3Transformer2DModel(
            sample_size=64, patch_size=2, in_channels=16, out_channels=16, num_layers=8, attention_head_dim=64,
            num_attention_heads=12, caption_projection_dim=768, joint_attention_dim=1024, pooled_projection_dim=64,
            pos_embed_max_size=64,
        )
    )  # fmt: skip
    pipe.register_modules(
        transformer=transformer, vae=full_vae("sd3"), text_encoder_3=filled(lambda: T5EncoderModel(t5))
    )
    return pipe


def _t5(multilingual: bool = False, layers: int = 12) -> Any:
    from transformers import T5Config, T5EncoderModel, UMT5Config, UMT5EncoderModel

    sizes = {
        "vocab_size": 32128, "d_model": 1024, "d_kv": 64, "d_ff": 2816, "num_layers": layers, "num_heads": 16,
        "feed_forward_proj": "gated-gelu",
    }  # fmt: skip
    if multilingual:
        return filled(lambda: UMT5EncoderModel(UMT5Config(**sizes)))
    return filled(lambda: T5EncoderModel(T5Config(**sizes)))


def flux_shaped() -> Any:
    """FLUX's parts, scaled: T5 0.7 GB, transformer 0.8 GB, autoencoder 0.3 GB in fp32."""
    from diffusers import FluxTransformer2DModel

    pipe = tiny.pipeline("flux")
    transformer = filled(
        lambda: FluxTransformer2DModel(
            in_channels=64, num_layers=5, num_single_layers=10, attention_head_dim=64, num_attention_heads=12,
            joint_attention_dim=1024, pooled_projection_dim=32, axes_dims_rope=(8, 28, 28), guidance_embeds=True,
        )
    )  # fmt: skip
    pipe.register_modules(transformer=transformer, vae=full_vae("flux"), text_encoder_2=_t5())
    return pipe


def wan_shaped() -> Any:
    """Wan 2.1's parts, scaled: UMT5 0.7 GB, transformer 0.7 GB, the published autoencoder 0.5 GB in fp32."""
    from diffusers import AutoencoderKLWan, WanTransformer3DModel

    pipe = tiny.pipeline("wan")
    transformer = filled(
        lambda: WanTransformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=8, attention_head_dim=128, in_channels=16, out_channels=16,
            text_dim=1024, ffn_dim=4096, num_layers=10,
        )
    )  # fmt: skip
    pipe.register_modules(transformer=transformer, vae=filled(AutoencoderKLWan), text_encoder=_t5(multilingual=True))
    return pipe


def small() -> Any:
    """SD1.5's layout at a tenth of its width's cost, for timing: a step takes tens of milliseconds, not seconds."""
    from diffusers import UNet2DConditionModel

    pipe = tiny.pipeline("sd15")
    pipe.register_modules(
        unet=filled(
            lambda: UNet2DConditionModel(
                sample_size=32, cross_attention_dim=32, attention_head_dim=8, block_out_channels=(64, 128, 256, 256)
            )
        )
    )
    return pipe


@contextmanager
def built(make: Callable[[], Any]) -> Iterator[Path]:
    """The diffusers folder of what `make` builds; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="aigc-bench-") as folder:
        make().save_pretrained(folder)
        yield Path(folder)


def pictogram() -> Path | None:
    """The shipped model, if this checkout has its weights."""
    weights = PICTOGRAM / "unet" / "diffusion_pytorch_model.safetensors"
    return PICTOGRAM if weights.is_file() else None
