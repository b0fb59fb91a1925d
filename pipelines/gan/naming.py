"""StyleGAN2's weights under other authors' names: NVIDIA's (StyleGAN2-ADA), rosinality's, and ours.

All three keep weights unscaled and scale them at run time by the same rule, so that only names and shapes differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

State = dict[str, torch.Tensor]
_SKIPPED = re.compile(r".*(resample_filter|kernel|num_batches_tracked)$")

_NVIDIA_G = (
    (r"mapping\.w_avg", "w_average"),
    (r"mapping\.embed\.(weight|bias)", r"mapping.embed.\1"),
    (r"mapping\.fc(\d+)\.(weight|bias)", r"mapping.layers.\1.\2"),
    (r"synthesis\.b4\.const", "start"),
    (r"synthesis\.b(\d+)\.torgb\.(.+)", r"blocks.{\1}.rgb.\2"),
    (r"synthesis\.b(\d+)\.conv0\.(.+)", r"blocks.{\1}.grow.\2"),
    (r"synthesis\.b(\d+)\.conv1\.(.+)", r"blocks.{\1}.conv.\2"),
)
_NVIDIA_D = (
    (r"b(\d+)\.fromrgb\.(.+)", r"rgb.\2"),
    (r"b(\d+)\.conv0\.(.+)", r"blocks.{\1}.conv.\2"),
    (r"b(\d+)\.conv1\.(.+)", r"blocks.{\1}.shrink.\2"),
    (r"b(\d+)\.skip\.weight", r"blocks.{\1}.skip.weight"),
    (r"b4\.conv\.(.+)", r"conv.\1"),
    (r"b4\.fc\.(.+)", r"dense.\1"),
    (r"b4\.out\.(.+)", r"out.\1"),
    (r"mapping\.embed\.(weight|bias)", r"mapping.embed.\1"),
    (r"mapping\.fc(\d+)\.(weight|bias)", r"mapping.layers.\1.\2"),
)
_ENDS = (("noise_strength", "strength"), ("noise_const", "const"))


def is_nvidia(state: Mapping[str, torch.Tensor]) -> bool:
    return "synthesis.b4.const" in state


def is_nvidia_critic(state: Mapping[str, torch.Tensor]) -> bool:
    return "b4.fc.weight" in state and any(name.endswith(".skip.weight") for name in state)


def is_rosinality(state: Mapping[str, torch.Tensor]) -> bool:
    return "input.input" in state and "conv1.conv.modulation.weight" in state


def is_rosinality_critic(state: Mapping[str, torch.Tensor]) -> bool:
    return "final_linear.1.weight" in state and "convs.0.0.weight" in state


def _side(state: Mapping[str, torch.Tensor], pattern: str) -> int:
    return max(int(found[1]) for name in state if (found := re.match(pattern, name)))


def _renamed(
    state: Mapping[str, torch.Tensor], rules: tuple[tuple[str, str], ...], place: Any
) -> tuple[State, list[str]]:
    """Under our names, {side} in them replaced by `place(side)`; and the names that no rule knows."""
    out: State = {}
    unknown: list[str] = []
    for name, value in state.items():
        if _SKIPPED.fullmatch(name):
            continue
        for pattern, ours in rules:
            if found := re.fullmatch(pattern, name):
                new = re.sub(r"\{(\d+)\}", lambda m: str(place(int(m[1]))), found.expand(ours))
                for theirs, end in _ENDS:
                    new = new.removesuffix(theirs) + end if new.endswith(theirs) else new
                out[new] = value
                break
        else:
            unknown.append(name)
    return out, unknown


def nvidia_generator(state: Mapping[str, torch.Tensor]) -> tuple[State, list[str]]:
    return _renamed(state, _NVIDIA_G, lambda side: side.bit_length() - 3)


def nvidia_discriminator(state: Mapping[str, torch.Tensor]) -> tuple[State, list[str]]:
    top = _side(state, r"b(\d+)\.")
    return _renamed(state, _NVIDIA_D, lambda side: top.bit_length() - side.bit_length())


def rosinality_generator(state: Mapping[str, torch.Tensor], average: torch.Tensor | None) -> tuple[State, list[str]]:
    """average: `latent_avg`, that its checkpoints keep beside the generator."""
    out: State = {}
    unknown: list[str] = []
    for name, value in state.items():
        if _SKIPPED.fullmatch(name):
            continue
        new, value = _rosinality_g(name, value)
        if new:
            out[new] = value
        else:
            unknown.append(name)
    if average is not None:
        out["w_average"] = average.flatten()
    return out, unknown


_LAYER = (
    ("conv.weight", "weight"),
    ("conv.modulation.weight", "affine.weight"),
    ("conv.modulation.bias", "affine.bias"),
    ("noise.weight", "strength"),
    ("activate.bias", "bias"),
    ("bias", "bias"),
)


def _rosinality_g(name: str, value: torch.Tensor) -> tuple[str, torch.Tensor]:
    if name == "input.input":
        return "start", value[0]
    if found := re.fullmatch(r"style\.(\d+)\.(weight|bias)", name):
        return f"mapping.layers.{int(found[1]) - 1}.{found[2]}", value
    if found := re.fullmatch(r"noises\.noise_(\d+)", name):
        return f"{_nth_conv(int(found[1]) - 1)}.const", value[0, 0]
    if found := re.fullmatch(r"(conv1|to_rgb1|convs\.\d+|to_rgbs\.\d+)\.(.+)", name):
        end = dict(_LAYER).get(found[2])
        if end is None:
            return "", value
        if end == "strength":
            value = value.reshape(())
        elif found[2] == "conv.weight":
            value = value[0]
        elif end == "bias":
            value = value.flatten()
        which, _, number = found[1].partition(".")
        place = {
            "conv1": lambda: "blocks.0.conv",
            "to_rgb1": lambda: "blocks.0.rgb",
            "convs": lambda: _nth_conv(int(number)),
            "to_rgbs": lambda: f"blocks.{int(number) + 1}.rgb",
        }[which]()
        return f"{place}.{end}", value
    return "", value


def _nth_conv(number: int) -> str:
    """The convolution of that number above 4x4; -1 is the one at 4x4."""
    return "blocks.0.conv" if number < 0 else f"blocks.{number // 2 + 1}.{('grow', 'conv')[number % 2]}"


_ROSINALITY_D = (
    (r"convs\.0\.0\.weight", "rgb.weight"),
    (r"convs\.0\.1\.bias", "rgb.bias"),
    (r"convs\.(\d+)\.conv1\.0\.weight", r"blocks.{\1}.conv.weight"),
    (r"convs\.(\d+)\.conv1\.1\.bias", r"blocks.{\1}.conv.bias"),
    (r"convs\.(\d+)\.conv2\.1\.weight", r"blocks.{\1}.shrink.weight"),
    (r"convs\.(\d+)\.conv2\.2\.bias", r"blocks.{\1}.shrink.bias"),
    (r"convs\.(\d+)\.skip\.1\.weight", r"blocks.{\1}.skip.weight"),
    (r"final_conv\.0\.weight", "conv.weight"),
    (r"final_conv\.1\.bias", "conv.bias"),
    (r"final_linear\.0\.(weight|bias)", r"dense.\1"),
    (r"final_linear\.1\.(weight|bias)", r"out.\1"),
)


def rosinality_discriminator(state: Mapping[str, torch.Tensor]) -> tuple[State, list[str]]:
    return _renamed(state, _ROSINALITY_D, lambda number: number - 1)


def options(generator: Mapping[str, torch.Tensor], clamp: float = 0.0) -> dict[str, Any]:
    """The options of a StyleGAN2 design, from the shapes of a generator under our names."""
    blocks = 1 + max(int(found[1]) for name in generator if (found := re.match(r"blocks\.(\d+)\.conv\.weight", name)))
    layers = [name for name in generator if re.fullmatch(r"mapping\.layers\.\d+\.weight", name)]
    w_dim = generator["blocks.0.conv.affine.weight"].shape[1]
    embed = generator.get("mapping.embed.weight")
    first = generator["mapping.layers.0.weight"].shape[1]
    return {
        "resolution": 4 * 2 ** (blocks - 1),
        "z_dim": first - (0 if embed is None else w_dim),
        "w_dim": w_dim,
        "classes": 0 if embed is None else embed.shape[1],
        "mapping_layers": len(layers),
        "channels": [generator[f"blocks.{i}.conv.weight"].shape[0] for i in range(blocks)],
        "clamp": float(clamp or 0.0),
    }


def critic_options(state: Mapping[str, torch.Tensor], given: Mapping[str, Any]) -> dict[str, Any]:
    """What a discriminator under our names adds to its generator's options; {} when the two do not belong together."""
    blocks = [name for name in state if re.fullmatch(r"blocks\.\d+\.conv\.weight", name)]
    wide = [state[f"blocks.{i}.conv.weight"].shape[0] for i in range(len(blocks))][::-1]
    if [state["conv.weight"].shape[0], *wide] != list(given["channels"]):
        return {}
    layers = sum(1 for name in state if re.fullmatch(r"mapping\.layers\.\d+\.weight", name))
    return {"critic_mapping": layers} if layers else {"critic_mapping": 2}


@torch.no_grad()
def average(generator: Any, count: int = 4096) -> None:
    """Give a generator without one its average w: the mean over `count` draws of z, and of classes."""
    draw = torch.Generator().manual_seed(0)
    z = torch.randn(count, generator.z_dim, generator=draw)
    labels = torch.arange(count) % generator.classes if generator.classes else None
    generator.w_average.copy_(generator.mapping(z, labels).mean(0))
