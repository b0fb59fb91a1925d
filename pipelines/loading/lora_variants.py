"""LoHa and LoKr files, rewritten as the LoRA that computes the same: exactly, at a higher rank.

LoHa (Hyeon-Woo et al. 2021, arXiv 2108.06098): dW = (A1 B1) * (A2 B2), elementwise. Row o of it is the product of the
Kronecker products of row o of A1 and A2 with those of B1 and B2, so its rank is at most r1 r2.
LoKr (Yeh et al. 2023, arXiv 2309.14859): dW = W1 (x) W2, and (U1 V1) (x) (U2 V2) = (U1 (x) U2)(V1 (x) V2).
As a LoRA either is checked, named, split over fused layers, weighted and taken off like every other.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import nn

PIECE = re.compile(r"^(.*)\.((?:hada|lokr)_[wt][12](?:_[ab])?)(?:\.weight)?$")
# Further kinds of the same trainers, which are not read.
OTHERS = re.compile(r"\.(oft_\w+|boft_\w+|on_input|a1\.weight|b1\.weight)$")
Pieces = Mapping[str, torch.Tensor]


def is_variant(tensors: Mapping[str, object]) -> bool:
    return any(PIECE.match(key) for key in tensors)


def unread(tensors: Mapping[str, object]) -> str:
    """The first tensor of a kind that is not read: OFT, BOFT, IA3, GLoRA; "" when there is none."""
    weighed = is_variant(tensors)
    return next((k for k in tensors if OTHERS.search(k) or (weighed and k.endswith(".dora_scale"))), "")


def as_lora(tensors: Pieces, parts: Mapping[str, nn.Module]) -> dict[str, torch.Tensor]:
    """The file as a LoRA; what is a LoRA in it already stays. Raises ValueError for a layer with pieces missing.

    Layers keep the file's names, so that diffusers' own converters apply; those that no converter knows ("lycoris_",
    "lora_transformer_") are looked up in the pipeline's parts.
    """
    layers: dict[str, dict[str, torch.Tensor]] = defaultdict(dict)
    for key, value in tensors.items():
        if match := PIECE.match(key):
            layers[match[1]][match[2]] = value.float()
    known = _flat_names(parts)
    rest = {k: v for k, v in tensors.items() if not PIECE.match(k) and k.removesuffix(".alpha") not in layers}
    for layer, pieces in layers.items():
        up, down = _factors(layer, pieces)
        alpha, rank = tensors.get(f"{layer}.alpha"), _rank(pieces)
        if alpha is not None and rank:
            up = up * (float(alpha) / rank)
        rest.update(_named(layer, up, down, known))
    return rest


def shaped(state: dict[str, torch.Tensor], key: str, weight: torch.Tensor) -> None:
    """Give both halves of a product the axes of the convolution that they change; `key`: of lora_A."""
    other = key.replace(".lora_A.", ".lora_B.")
    if weight.ndim > 2 and state[key].ndim == 2 and state[key].shape[1] == weight[0].numel() and other in state:
        state[key] = state[key].reshape(-1, *weight.shape[1:])
        state[other] = state[other].reshape(*state[other].shape[:2], *[1] * (weight.ndim - 2))


def _named(layer: str, up: torch.Tensor, down: torch.Tensor, known: Mapping[str, str]) -> dict[str, torch.Tensor]:
    if found := known.get(layer):
        return {f"{found}.lora_A.weight": down, f"{found}.lora_B.weight": up}
    if not layer.startswith("lora_"):  # dotted names, as peft and diffusers have them
        layer = layer.removeprefix("base_model.model.")
        return {f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}
    alpha = torch.tensor(float(down.shape[0]))
    return {f"{layer}.lora_down.weight": down, f"{layer}.lora_up.weight": up, f"{layer}.alpha": alpha}


def _flat_names(parts: Mapping[str, nn.Module]) -> dict[str, str]:
    """ "lycoris_<layer>" and "lora_transformer_<layer>", dots as underscores -> "transformer.<layer>"."""
    found = {}
    for part in ("unet", "transformer"):
        for name, _ in parts[part].named_modules() if part in parts else ():
            flat = name.replace(".", "_")
            found[f"lycoris_{flat}"] = found[f"lora_{part}_{flat}"] = f"{part}.{name}"
    return {k: v for k, v in found.items() if not k.startswith("lora_unet_")}  # diffusers knows these


def _factors(layer: str, pieces: Pieces) -> tuple[torch.Tensor, torch.Tensor]:
    """dW as up [out, r] times down [r, in x kernel]."""
    loha = any(name.startswith("hada") for name in pieces)
    try:
        if loha:
            (u1, v1), (u2, v2) = _hada(pieces, "1"), _hada(pieces, "2")
            up = torch.einsum("oi,oj->oij", u1, u2).flatten(1)
            return up, torch.einsum("ic,jc->ijc", v1, v2).flatten(0, 1)
        (u1, v1), (u2, v2) = _lokr(pieces, "1"), _lokr(pieces, "2")
        return torch.kron(u1, u2), torch.kron(v1, v2)
    except (KeyError, RuntimeError) as error:
        kind = "LoHa" if loha else "LoKr"
        raise ValueError(f"{layer} holds {', '.join(sorted(pieces))}, which is no whole {kind}: {error}") from error


def _hada(pieces: Pieces, side: str) -> tuple[torch.Tensor, torch.Tensor]:
    a, b, core = pieces[f"hada_w{side}_a"], pieces[f"hada_w{side}_b"], pieces.get(f"hada_t{side}")
    return (a, b.flatten(1)) if core is None else _tucker(core, a, b)


def _lokr(pieces: Pieces, side: str) -> tuple[torch.Tensor, torch.Tensor]:
    whole = pieces.get(f"lokr_w{side}")
    if whole is None:
        a, b, core = pieces[f"lokr_w{side}_a"], pieces[f"lokr_w{side}_b"], pieces.get(f"lokr_t{side}")
        return (a, b.flatten(1)) if core is None else _tucker(core, a, b)
    whole = whole.flatten(1)
    rows, columns = whole.shape
    return (torch.eye(rows), whole) if rows <= columns else (whole, torch.eye(columns))


def _tucker(core: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Factors of a kernel kept as core [r, r, kh, kw], a [r, out] and b [r, in]."""
    return a.T, torch.einsum("ij...,jc->ic...", core, b).flatten(1)


def _rank(pieces: Pieces) -> int:
    """What alpha is divided by: the inner size of a factor that is a product; 0 for a LoKr of two whole matrices."""
    names = ("hada_w1_b", "lokr_w2_b", "lokr_w1_b")
    return next((int(pieces[name].shape[0]) for name in names if name in pieces), 0)
