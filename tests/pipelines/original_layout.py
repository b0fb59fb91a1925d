"""Writes parts of diffusers in the layouts that single-file checkpoints have: the way back from what is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from pipelines.loading.families import BY_CONFIG

RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
OPEN_CLIP = {
    "layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
}  # fmt: skip
SD3_BLOCK = {
    "attn.to_out.0": "x_block.attn.proj", "attn.to_add_out": "context_block.attn.proj",
    "attn.norm_q": "x_block.attn.ln_q", "attn.norm_k": "x_block.attn.ln_k",
    "attn.norm_added_q": "context_block.attn.ln_q", "attn.norm_added_k": "context_block.attn.ln_k",
    "attn2.to_out.0": "x_block.attn2.proj", "attn2.norm_q": "x_block.attn2.ln_q", "attn2.norm_k": "x_block.attn2.ln_k",
    "norm1.linear": "x_block.adaLN_modulation.1", "norm1_context.linear": "context_block.adaLN_modulation.1",
    "ff.net.0.proj": "x_block.mlp.fc1", "ff.net.2": "x_block.mlp.fc2",
    "ff_context.net.0.proj": "context_block.mlp.fc1", "ff_context.net.2": "context_block.mlp.fc2",
}  # fmt: skip
SD3_REST = {
    "pos_embed.pos_embed": "pos_embed", "pos_embed.proj": "x_embedder.proj", "context_embedder": "context_embedder",
    "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
    "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
    "norm_out.linear": "final_layer.adaLN_modulation.1", "proj_out": "final_layer.linear",
}  # fmt: skip
SD3_STACKS = {
    "x_block.attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "context_block.attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "x_block.attn2.qkv": ("attn2.to_q", "attn2.to_k", "attn2.to_v"),
}
FLUX_DOUBLE = {
    "norm1.linear": "img_mod.lin", "norm1_context.linear": "txt_mod.lin",
    "attn.norm_q.weight": "img_attn.norm.query_norm.scale", "attn.norm_k.weight": "img_attn.norm.key_norm.scale",
    "attn.norm_added_q.weight": "txt_attn.norm.query_norm.scale",
    "attn.norm_added_k.weight": "txt_attn.norm.key_norm.scale",
    "ff.net.0.proj": "img_mlp.0", "ff.net.2": "img_mlp.2", "ff_context.net.0.proj": "txt_mlp.0",
    "ff_context.net.2": "txt_mlp.2", "attn.to_out.0": "img_attn.proj", "attn.to_add_out": "txt_attn.proj",
}  # fmt: skip
FLUX_SINGLE = {
    "norm.linear": "modulation.lin", "proj_out": "linear2",
    "attn.norm_q.weight": "norm.query_norm.scale", "attn.norm_k.weight": "norm.key_norm.scale",
}  # fmt: skip
FLUX_REST = {
    "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
    "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
    "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
    "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
    "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
    "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
    "context_embedder": "txt_in", "x_embedder": "img_in",
    "norm_out.linear": "final_layer.adaLN_modulation.1", "proj_out": "final_layer.linear",
}  # fmt: skip
FLUX_DOUBLE_STACKS = {
    "img_attn.qkv": SD3_STACKS["x_block.attn.qkv"],
    "txt_attn.qkv": SD3_STACKS["context_block.attn.qkv"],
}
FLUX_SINGLE_STACKS = {"linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")}


def renamed(name: str, table: dict[str, str]) -> str:
    for ours, theirs in table.items():
        if name == ours or name.startswith(ours + "."):
            return theirs + name[len(ours) :]
    return name


def unet_names(unet: Any) -> dict[str, str]:
    """Module prefixes of the UNet in diffusers' layout, and in the original one."""
    table = {
        "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
        "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
        "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
        "mid_block.resnets.0": "middle_block.0", "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
    }  # fmt: skip
    number = 1
    for i, block in enumerate(unet.down_blocks):
        for j in range(len(block.resnets)):
            table[f"down_blocks.{i}.resnets.{j}"] = f"input_blocks.{number}.0"
            table[f"down_blocks.{i}.attentions.{j}"] = f"input_blocks.{number}.1"
            number += 1
        table[f"down_blocks.{i}.downsamplers.0.conv"] = f"input_blocks.{number}.0.op"
        number += 1
    number = 0
    for i, block in enumerate(unet.up_blocks):
        for j in range(len(block.resnets)):
            table[f"up_blocks.{i}.resnets.{j}"] = f"output_blocks.{number}.0"
            table[f"up_blocks.{i}.attentions.{j}"] = f"output_blocks.{number}.1"
            number += 1
        last = 2 if hasattr(block, "attentions") else 1
        table[f"up_blocks.{i}.upsamplers.0.conv"] = f"output_blocks.{number - 1}.{last}.conv"
    return table


def original_unet(unet: Any) -> dict[str, torch.Tensor]:
    table, found = unet_names(unet), {}
    for key, value in unet.state_dict().items():
        new = renamed(key, table)
        if ".resnets." in key:
            block = next(theirs for ours, theirs in table.items() if key.startswith(ours + "."))
            new = f"{block}.{renamed(new[len(block) + 1 :], RESNET)}"
        found[new] = value
    return found


def original_vae(vae: Any) -> dict[str, torch.Tensor]:
    table: dict[str, str] = {}
    levels = len(vae.encoder.down_blocks)
    for side in ("encoder", "decoder"):
        table |= {
            f"{side}.mid_block.resnets.0": f"{side}.mid.block_1", f"{side}.mid_block.resnets.1": f"{side}.mid.block_2",
            f"{side}.mid_block.attentions.0": f"{side}.mid.attn_1", f"{side}.conv_norm_out": f"{side}.norm_out",
        }  # fmt: skip
    for i in range(levels):
        table[f"encoder.down_blocks.{i}.downsamplers.0"] = f"encoder.down.{i}.downsample"
        table[f"decoder.up_blocks.{i}.upsamplers.0"] = f"decoder.up.{levels - 1 - i}.upsample"
        for j in range(3):
            table[f"encoder.down_blocks.{i}.resnets.{j}"] = f"encoder.down.{i}.block.{j}"
            table[f"decoder.up_blocks.{i}.resnets.{j}"] = f"decoder.up.{levels - 1 - i}.block.{j}"
    found = {}
    for key, value in vae.state_dict().items():
        new = renamed(key, table).replace("conv_shortcut", "nin_shortcut")
        if ".attentions.0." in key:
            head, tail = new.split(".attn_1.")
            new = f"{head}.attn_1.{renamed(tail, VAE_ATTENTION)}"
            value = value[:, :, None, None] if value.ndim == 2 else value
        found[new] = value
    return found


def original_open_clip(encoder: Any) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    state = {key.removeprefix("text_model."): value for key, value in encoder.state_dict().items()}
    for key, value in state.items():
        head, _, tail = key.partition("encoder.layers.")
        if not head and tail:
            number, _, rest = tail.partition(".")
            if rest.startswith("self_attn.") and "out_proj" not in rest:
                kind = rest.rpartition(".")[2]  # weight or bias, q, k and v stacked
                rows = [state[f"encoder.layers.{number}.self_attn.{letter}_proj.{kind}"] for letter in "qkv"]
                found[f"transformer.resblocks.{number}.attn.in_proj_{kind}"] = torch.cat(rows)
            else:
                found[f"transformer.resblocks.{number}.{renamed(rest, OPEN_CLIP)}"] = value
    found["token_embedding.weight"] = state["embeddings.token_embedding.weight"]
    found["positional_embedding"] = state["embeddings.position_embedding.weight"]
    found |= {f"ln_final.{kind}": state[f"final_layer_norm.{kind}"] for kind in ("weight", "bias")}
    if "text_projection.weight" in state:
        found["text_projection"] = state["text_projection.weight"].T.contiguous()
    return found


def plain(encoder: Any) -> dict[str, torch.Tensor]:
    """A text encoder as transformers of every version wrote it: CLIP's names begin with `text_model.`"""
    state = encoder.state_dict()
    if "CLIP" not in type(encoder).__name__:
        return {key: value.clone() for key, value in state.items()}
    return {key if key.startswith("text_") else f"text_model.{key}": value for key, value in state.items()}


def halves_swapped(value: torch.Tensor) -> torch.Tensor:
    """Scale and shift of a last norm stand the other way round in the original layout."""
    return torch.cat(value.chunk(2)[::-1])


def stacked(state: dict[str, torch.Tensor], blocks: str, theirs: str, stacks: dict[str, tuple[str, ...]]) -> dict:
    """Projections of `blocks.N.` that the original layout keeps in one tensor, taken out of `state`."""
    found = {}
    for key in [k for k in state if k.startswith(f"{blocks}.")]:
        number, _, rest = key.removeprefix(f"{blocks}.").partition(".")
        for name, pieces in stacks.items():
            if rest.startswith(f"{pieces[0]}."):
                kind = rest.rpartition(".")[2]
                rows = [state.pop(f"{blocks}.{number}.{piece}.{kind}") for piece in pieces]
                found[f"{theirs}.{number}.{name}.{kind}"] = torch.cat(rows)
    return found


def original_sd3(transformer: Any) -> dict[str, torch.Tensor]:
    state = dict(transformer.state_dict())
    last = f"joint_blocks.{transformer.config.num_layers - 1}.context_block.adaLN_modulation"
    found = stacked(state, "transformer_blocks", "joint_blocks", SD3_STACKS)
    for key, value in state.items():
        head, _, rest = key.partition("transformer_blocks.")
        number, _, rest = rest.partition(".")
        new = renamed(key, SD3_REST) if head or not rest else f"joint_blocks.{number}.{renamed(rest, SD3_BLOCK)}"
        swap = new.startswith((last, "final_layer.adaLN_modulation"))
        found[new] = halves_swapped(value) if swap else value
    return found


def original_flux(transformer: Any) -> dict[str, torch.Tensor]:
    state, found = dict(transformer.state_dict()), {}
    found |= stacked(state, "transformer_blocks", "double_blocks", FLUX_DOUBLE_STACKS)
    found |= stacked(state, "single_transformer_blocks", "single_blocks", FLUX_SINGLE_STACKS)
    for key, value in state.items():
        blocks, _, rest = key.partition(".")
        number, _, rest = rest.partition(".")
        if blocks == "transformer_blocks":
            new = f"double_blocks.{number}.{renamed(rest, FLUX_DOUBLE)}"
        elif blocks == "single_transformer_blocks":
            new = f"single_blocks.{number}.{renamed(rest, FLUX_SINGLE)}"
        else:
            new = renamed(key, FLUX_REST)
        found[new] = halves_swapped(value) if new.startswith("final_layer.adaLN") else value
    return found


def original(family: str, name: str, part: Any) -> dict[str, torch.Tensor]:
    """One part's tensors as a checkpoint of this family names them, without the prefix."""
    from tests.pipelines.original_newer import newer

    kind = type(part).__name__
    found = newer(part)
    if found is not None:
        return found
    if name == "vae":
        found = original_vae(part)
        halves = {"quant_conv": "encoder.quant_conv", "post_quant_conv": "decoder.post_quant_conv"}
        return {renamed(k, halves): v for k, v in found.items()} if kind == "AutoencoderKLFlux2" else found
    if kind == "UNet2DConditionModel":
        return original_unet(part)
    if kind == "SD3Transformer2DModel":
        return original_sd3(part)
    if kind == "FluxTransformer2DModel":
        return original_flux(part)
    if (family, name) in {("sd2", "text_encoder"), ("sdxl", "text_encoder_2")}:
        return original_open_clip(part)
    return plain(part)


def write_checkpoint(family: str, parts: dict[str, Any], path: Path) -> Path:
    """One file with these parts, under the prefixes of the family."""
    prefixes = BY_CONFIG[family].prefixes
    tensors = {
        prefixes[name][0] + key: value.contiguous()
        for name, part in parts.items()
        for key, value in original(family, name, part).items()
    }
    save_file(tensors, path)
    return path
