"""An encoder that is computed, not trained: principal components of patches, written into an AutoencoderTiny.

Each patch of 2 ** stages pixels a side becomes `latent_channels` principal components, half-whitened: each is divided by the
square root of its standard deviation, so that strong components keep more of the signal than fine detail. One stride-2
convolution gathers 2 x 2 pixels and keeps their leading components, the next one 2 x 2 of these. The encoder has no blocks in
between, so that all of it is linear.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def gather(x: Tensor) -> Tensor:
    """[B, C, H, W] to [B, 4 C, H/2, W/2]: the 2 x 2 neighbourhood, in the order of `F.pixel_unshuffle`."""
    return F.pixel_unshuffle(x, 2)


def principal(x: Tensor, count: int, centred: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Leading directions [count, C], their standard deviations [count] and the mean [C] of x [B, C, H, W]."""
    flat = x.transpose(0, 1).flatten(1).double()  # [C, B*H*W]
    mean = flat.mean(1)
    moment = flat @ flat.T / flat.shape[1]
    values, vectors = torch.linalg.eigh(moment - torch.outer(mean, mean) if centred else moment)
    top = values.argsort(descending=True)[:count]
    return vectors[:, top].T.float(), values[top].clamp_min(1e-12).sqrt().float(), mean.float()


@torch.no_grad()
def set_encoder(vae: Any, pixels: Tensor) -> None:
    """Write the linear map into the convolutions of an AutoencoderTiny whose encoder has no blocks.

    pixels: [B, 3, H, W] in -1..1. Latents times the config's scaling_factor have variance 1, on average over the channels.
    """
    convolutions = [layer for layer in vae.encoder.layers if isinstance(layer, torch.nn.Conv2d)]
    for convolution in convolutions:
        convolution.weight.zero_()
        if convolution.bias is not None:
            convolution.bias.zero_()
    first, *gathering, last = convolutions
    hidden, channels = first.out_channels, last.out_channels
    first.weight[:3, :, 1, 1] = torch.eye(3)
    assert first.bias is not None and last.bias is not None
    first.bias[:3] = -1.0  # the encoder sees 0..1: white becomes zero, so padding with zeros is padding with paper
    x = (pixels + 1) / 2 - 1
    for convolution in gathering:
        patches = gather(x)
        kept = min(hidden, patches.shape[1])
        directions, _, _ = principal(patches, kept, centred=False)
        taps = directions.reshape(kept, x.shape[1], 2, 2)
        convolution.weight[:kept, : x.shape[1], 1:, 1:] = taps
        x = torch.einsum("kc,bchw->bkhw", directions, patches)
    directions, deviation, mean = principal(x, channels, centred=True)
    scale = deviation.rsqrt()[:, None] * directions  # half-whitened
    unit = deviation.mean().sqrt() * vae.config.scaling_factor  # a component's variance is its deviation now
    last.weight[:, : x.shape[1], 1, 1] = scale / unit
    last.bias.copy_(-(scale / unit) @ mean)
