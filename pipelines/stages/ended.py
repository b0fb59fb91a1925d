"""Blocks that hand on more than one tensor to be decoded, or none that an autoencoder takes.

Echo and MiniMax-H3 make a video and its sound, MiniMax-Music-3 latents in windows that its vocoder puts together,
Wan-Animate-2 frames that it decoded itself. Their LATENT is the first thing that their decoding blocks require, what
else these read goes along with it (`Beside`), and `Ended` stands where other models have their autoencoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..errors import AigcError
from .ending import recalled, remembered
from .replay import map_tensors

# What decoding blocks call their results.
PICTURES, SOUNDS = ("videos", "images"), ("audio", "audios")
ENDED = "ended"  # the name by which a pipeline has its `Ended`
ALONG = 2  # the dimension along which pieces of a long result follow each other: frames, or moments of a sound

Blocks = list[tuple[str, Any]]


@dataclass(frozen=True)
class Beside:
    """What the decoding blocks of one row read beside its LATENT, by name, on the CPU.

    lengths: of the pieces that the row was handed on in, one after another along ALONG; () for one tensor.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    lengths: tuple[int, ...] = ()


def reason(pipe: Any) -> str:
    """Why a LATENT of this modular pipeline is what its decoding blocks take instead of an autoencoder; "" if it isn't."""
    decode = pipe.blocks.sub_blocks["decode"]
    if not any("Autoencoder" in str(spec.type_hint) for spec in decode.expected_components):
        return "its decode block has no autoencoder"
    if "scheduler" not in pipe._component_specs:
        return "it keeps its schedule to itself"
    makes = {out.name for out in decode.outputs}
    return "it makes pictures and sound at once" if makes & {*PICTURES} and makes & {*SOUNDS} else ""


def padded(rows: Sequence[torch.Tensor], dim: int) -> torch.Tensor:
    """Rows [1, ...] as a batch; the shorter ones end in zeros."""
    longest = max(row.shape[dim] for row in rows)
    rest = [[*row.shape[:dim], longest - row.shape[dim], *row.shape[dim + 1 :]] for row in rows]
    return torch.cat([torch.cat([row, row.new_zeros(shape)], dim) for row, shape in zip(rows, rest, strict=True)])


class Ended(nn.Module):
    """Stands where other models have their autoencoder; what it decodes is finished by the pipeline's own blocks.

    pipe: a dressed modular pipeline. blocks: the leaf blocks of its `decode`.
    """

    dtype: torch.dtype | None = None  # a LATENT comes back as it left
    pipe: Any
    blocks: Blocks

    def __init__(self, pipe: Any, blocks: Blocks) -> None:
        super().__init__()
        object.__setattr__(self, "pipe", pipe)  # which holds this: no child
        self.blocks = blocks

    @property
    def finished(self) -> bool:
        """Whether the LATENT is the frames themselves, in -1..1: nothing with weights decodes it."""
        specs = (spec for _, block in self.blocks for spec in block.expected_components)
        return not any(isinstance(spec.type_hint, type) and issubclass(spec.type_hint, nn.Module) for spec in specs)

    @property
    def config(self) -> Any:
        """What a LATENT's shape and a sound's rate are read off."""
        from diffusers.configuration_utils import FrozenDict

        vocoder = getattr(getattr(self.pipe, "vocoder", None), "config", {})
        rates = [vocoder.get("output_sampling_rate"), *self._stated("sampling_rate", "audio_sampling_rate")]
        channels = [3] if self.finished else self._stated("vae_latent_channels", "num_channels_latents")
        return FrozenDict(
            latent_channels=channels[0] if channels else self.pipe.vae.config["latent_channels"],
            sampling_rate=next((r for r in rates if r), None) if self._making(SOUNDS) else None,
            hop_length=next(iter(self._stated("latent_hop_length")), None),
        )

    @property
    def vae_scale_factor(self) -> int:
        """Pixels a cell of the LATENT."""
        stated = self._stated("vae_spatial_compression_ratio", "vae_scale_factor_spatial")
        return 1 if self.finished or not stated else int(stated[0])

    @property
    def vae_scale_factor_temporal(self) -> int:
        """Frames a cell; 0 for sound."""
        stated = self._stated("vae_temporal_compression_ratio", "vae_scale_factor_temporal")
        frames = 1 if self.finished or not stated else int(stated[0])
        return frames if self._making(PICTURES) else 0

    @property
    def chunk(self) -> tuple[int, int] | None:
        """Frames and cells of a chunk, for an autoencoder that drops a part of the last one (MiniMax-H3)."""
        stated = self._stated("vae_frames_per_chunk", "vae_latents_per_chunk")
        return (int(stated[0]), int(stated[1])) if len(stated) == 2 else None

    @property
    def both(self) -> bool:
        """Whether these blocks make pictures, and a sound that belongs to them."""
        return bool(self._making(PICTURES)) and bool(self._making(SOUNDS))

    def _stated(self, *names: str) -> list[Any]:
        return [getattr(self.pipe, name) for name in names if hasattr(self.pipe, name)]

    def _making(self, wanted: Sequence[str]) -> Blocks:
        return [(n, block) for n, block in self.blocks if {o.name for o in block.intermediate_outputs} & {*wanted}]

    def _inputs(self, blocks: Blocks) -> dict[str, bool]:
        """What these blocks read, in order, and whether they must have it; without how to give the result."""
        known: dict[str, bool] = {}
        for wanted in (wanted for _, block in blocks for wanted in block.inputs):
            if wanted.name is not None and wanted.name != "output_type":
                known[wanted.name] = known.get(wanted.name, False) or bool(wanted.required)
        return known

    @property
    def handed(self) -> str:
        """The name of what becomes the LATENT."""
        return next(name for name, required in self._inputs(self.blocks).items() if required)

    def hand_on(self, state: Any) -> None:
        """End a call before its decoding blocks: `decode` is asked for what they would read, of one row."""
        values = {name: state.get(name) for name in self._inputs(self.blocks) if state.get(name) is not None}
        main: Any = values.pop(self.handed)
        pieces = main if isinstance(main, list) else [main]
        lengths = tuple(piece.shape[ALONG] for piece in pieces) if isinstance(main, list) else ()
        kept = map_tensors(remembered(values), lambda t: t.detach().cpu())
        z: torch.Tensor = torch.cat(pieces, ALONG) if lengths else pieces[0]
        self.decode(z, Beside(kept, lengths))

    def encode(self, *_: Any) -> Any:
        raise AigcError(
            f"Expected a model that starts from pictures, got {type(self.pipe).__name__}: {reason(self.pipe)}. Give it "
            "the pictures in Encode Prompt."
        )

    def decode(self, z: torch.Tensor, *beside: Beside, wanted: Sequence[str] = PICTURES) -> torch.Tensor:
        """Rows [B, ...] of a LATENT and one `Beside` each -> pictures [B, F, 3, H, W] in 0..1, or sound [B, C, T].

        Raises AigcError when these blocks make no such thing, or when a row's `Beside` is missing.
        """
        blocks = self._making(wanted)
        if not blocks:
            kinds = ("picture", "sound", "Audio") if wanted == PICTURES else ("sound", "picture", "Image")
            raise AigcError(f"Expected latents of a {kinds[0]}, got those of a {kinds[1]}: use Decode {kinds[2]}.")
        beside = beside or (Beside(),) * len(z)
        if len(beside) != len(z):
            raise AigcError(
                f"Expected the {len(beside)} rows that Sample made, got {len(z)}: decode them first, then choose among the "
                "results."
            )
        return padded([self._row(row, one, blocks, wanted) for row, one in zip(z.split(1), beside, strict=True)], ALONG)

    def _row(self, z: torch.Tensor, beside: Beside, blocks: Blocks, wanted: Sequence[str]) -> torch.Tensor:
        values = map_tensors(recalled(beside.values), lambda t: t.to(z.device))
        pieces: Any = z
        if beside.lengths:
            pieces = list(z.narrow(ALONG, 0, sum(beside.lengths)).split(list(beside.lengths), ALONG))
        given = {**values, self.handed: pieces, "output_type": "pt"}
        missing = [name for name, required in self._inputs(blocks).items() if required and given.get(name) is None]
        if missing:
            raise AigcError(
                f"Expected a LATENT as Sample made it for {type(self.pipe).__name__}, got one without its "
                f"{', '.join(missing)}: connect Sample's own output."
            )
        state = self.pipe.begin({"decode": blocks}, given)
        self.pipe.run(state, blocks)
        return next(torch.as_tensor(made) for name in wanted if (made := state.get(name)) is not None)
