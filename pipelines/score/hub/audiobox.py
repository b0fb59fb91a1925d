"""Audiobox Aesthetics: WavLM's layers weighed, a mean over time, and one perceptron an axis (arXiv 2502.05139)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ...errors import AigcError
from ...payloads import Discriminator, JudgeSpec
from ..judge import Beside, Judge
from .weights import Tensors, below, filled, fit, frozen, layers, read_folder, renamed

SECONDS = 10
STRIDES = (5, 2, 2, 2, 2, 2, 2)  # of WavLM's convolutions: not in the shapes of its weights
FARTHEST = 800  # frames that relative positions tell apart
# The released names, which are those of WavLM's own code, to those of transformers' WavLMModel.
NAMES = (
    (r"^feature_extractor\.conv_layers\.(\d+)\.0\.", r"feature_extractor.conv_layers.\1.conv."),
    (r"^feature_extractor\.conv_layers\.(\d+)\.2\.", r"feature_extractor.conv_layers.\1.layer_norm."),
    (r"^post_extract_proj\.", "feature_projection.projection."),
    (r"^layer_norm\.", "feature_projection.layer_norm."),
    (r"^mask_emb$", "masked_spec_embed"),
    (r"^encoder\.pos_conv\.0\.weight_g$", "encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
    (r"^encoder\.pos_conv\.0\.weight_v$", "encoder.pos_conv_embed.conv.parametrizations.weight.original1"),
    (r"^encoder\.pos_conv\.0\.bias$", "encoder.pos_conv_embed.conv.bias"),
    (r"\.self_attn\.grep_a$", ".attention.gru_rel_pos_const"),
    (r"\.self_attn\.grep_linear\.", ".attention.gru_rel_pos_linear."),
    (r"\.self_attn\.relative_attention_bias\.", ".attention.rel_attn_embed."),
    (r"\.self_attn_layer_norm\.", ".layer_norm."),
    (r"\.self_attn\.", ".attention."),
    (r"\.fc1\.", ".feed_forward.intermediate_dense."),
    (r"\.fc2\.", ".feed_forward.output_dense."),
)


class Audiobox(Judge):
    """One axis. Sounds [B, T] at 16 kHz are judged in pieces of 10 s, each by its length."""

    chunk = 4

    def __init__(self, spec: JudgeSpec, wavlm: Any, head: Head) -> None:
        self.spec, self.wavlm, self.head = spec, wavlm, head

    def parts(self) -> list[nn.Module]:
        return [self.wavlm, self.head]

    def judged(self, x: torch.Tensor, beside: Beside) -> torch.Tensor:
        length = SECONDS * int(self.spec.space.partition("@")[2])
        ratings, weights = [], []
        for start in range(0, max(x.shape[1], 1), length):
            piece = x[:, start : start + length]
            ratings.append(self._rated(piece, length))
            weights.append(piece.shape[1] / length)
        share = x.new_tensor(weights)
        return (torch.stack(ratings, 1) * share).sum(1) / share.sum().clamp_min(1e-9)

    def _rated(self, piece: torch.Tensor, length: int) -> torch.Tensor:
        sound = F.pad(piece, (0, length - piece.shape[1])).to(self.wavlm.dtype)
        heard = torch.arange(length, device=sound.device) < piece.shape[1]
        states, kept = hidden_states(self.wavlm, sound, heard)
        return self.head(states.float(), kept)


def hidden_states(wavlm: Any, sound: torch.Tensor, heard: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What every layer says of sounds [B, T] of which the samples `heard` [T] are no padding: [L + 1, B, F, D], and which
    frames have any of them [F]."""
    features = wavlm.feature_extractor(sound).transpose(1, 2)  # [B, F, C]
    frames = features.shape[1]
    each = len(heard) // frames
    kept = heard[: len(heard) - len(heard) % frames].view(frames, each).any(-1)
    mask = None if bool(kept.all()) else kept.expand(len(sound), frames)
    hidden = wavlm.feature_projection(features)[0] * kept[:, None]
    encoder = wavlm.encoder
    hidden = encoder.layer_norm(hidden + encoder.pos_conv_embed(hidden))
    states, bias = [hidden], None
    for layer in encoder.layers:
        hidden, bias = layer(hidden, attention_mask=mask, position_bias=bias)[:2]
        states.append(hidden)
    return torch.stack(states), kept


class Head(nn.Module):
    """Of one axis: states [L + 1, B, F, D] and the kept frames [F] to ratings [B]."""

    def __init__(self, mix: torch.Tensor, widths: list[tuple[int, int]], normed: bool, unit: bool) -> None:
        super().__init__()
        self.mix = nn.Parameter(mix.float().clone())
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))
        self.unit = unit
        steps: list[nn.Module] = []
        for number, (inside, out) in enumerate(widths):
            steps.append(nn.Linear(inside, out))
            if number < len(widths) - 1:
                steps += [nn.LayerNorm(out)] if normed else []
                steps.append(nn.GELU())
        self.steps = nn.Sequential(*steps)

    def forward(self, states: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        mixed = torch.einsum("lbfd,l->bfd", states, self.mix.softmax(0))
        embedding = (mixed * kept[:, None]).sum(1) / kept.sum().clamp_min(1)
        embedding = F.normalize(embedding, dim=-1) if self.unit else embedding
        return self.steps(embedding)[:, 0] * self.std + self.mean


def open_judge(discriminator: Discriminator, dtype: torch.dtype) -> Audiobox:
    from transformers import WavLMModel

    folder, name = discriminator.path, discriminator.spec.id
    assert folder is not None
    axis = name.rpartition("-")[2].upper()
    released = read_folder(folder)
    wave = below(released, "wavlm_model.")
    wavlm = filled(WavLMModel, config(wave), renamed(wave, NAMES), dtype, name)
    return Audiobox(discriminator.spec, wavlm, _head(released, axis, folder, name))


def _head(released: Mapping[str, torch.Tensor], axis: str, folder: Path, name: str) -> Head:
    values = json.loads((folder / "config.json").read_text("utf-8"))
    scale = (values.get("target_transform") or {}).get(axis)
    if scale is None or not values.get("use_weighted_layer_sum", True) or f"layer_weights.{axis}" not in released:
        raise AigcError(
            f"Expected the published layout of {name}, got a config.json without target_transform and layer weights of "
            f"{axis}: use the original files."
        )
    steps = below(released, f"proj_layer.{axis}.")
    linear = [value for key, value in steps.items() if key.endswith(".weight") and value.ndim == 2]
    widths = [(weight.shape[1], weight.shape[0]) for weight in linear]
    normed = bool(values.get("proj_ln", False))
    head = Head(released[f"layer_weights.{axis}"], widths, normed, bool(values.get("normalize_embed", True)))
    # Dropouts have numbers in the released names, and none of ours: theirs in order are ours in order.
    theirs, ours = (sorted({int(key.split(".")[0]) for key in keys}) for keys in (steps, head.steps.state_dict()))
    number = {str(old): str(new) for old, new in zip(theirs, ours)}
    tensors: Tensors = {f"steps.{number.get(k.split('.')[0])}.{k.split('.')[1]}": v for k, v in steps.items()}
    tensors |= {"mix": head.mix.detach(), "mean": torch.tensor(scale["mean"]), "std": torch.tensor(scale["std"])}
    return frozen(fit(head, tensors, name))


def config(wave: Mapping[str, torch.Tensor]) -> Any:
    """The WavLMConfig of released weights, from their shapes."""
    from transformers import WavLMConfig

    count = layers(wave, r"feature_extractor\.conv_layers\.(\d+)\.")
    convolutions = [wave[f"feature_extractor.conv_layers.{n}.0.weight"] for n in range(count)]
    position, bias = (
        wave["encoder.pos_conv.0.weight_v"],
        wave["encoder.layers.0.self_attn.relative_attention_bias.weight"],
    )
    return WavLMConfig(
        hidden_size=position.shape[0],
        num_hidden_layers=layers(wave, r"encoder\.layers\.(\d+)\."),
        num_attention_heads=bias.shape[1],
        intermediate_size=wave["encoder.layers.0.fc1.weight"].shape[0],
        conv_dim=tuple(weight.shape[0] for weight in convolutions),
        conv_kernel=tuple(weight.shape[2] for weight in convolutions),
        conv_stride=STRIDES[:count],
        conv_bias=False,
        num_conv_pos_embeddings=position.shape[2],
        num_conv_pos_embedding_groups=position.shape[0] // position.shape[1],
        num_buckets=bias.shape[0],
        max_bucket_distance=FARTHEST,
        feat_extract_norm="group",
        do_stable_layer_norm=False,
        hidden_act="gelu",
    )
