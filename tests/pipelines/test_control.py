"""Controls: staged they equal diffusers' own pipelines bit for bit; off is off; what does not fit is refused."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from pipelines import stages
from pipelines.errors import AigcError
from pipelines.loading import networks
from pipelines.payloads import Control
from pipelines.stages import modular, nets

from . import controls, staged, tiny
from .controls import CASES, CPU, OTHER, PICTURE
from .original_layout import original_flux, renamed, stacked

RELEASED = controls.released  # an autouse fixture


@controls.homes_of
def homes(name, folder):
    """Folders of a case's model and its control net."""
    case = CASES[name]
    return tiny.saved(case.make, folder / "model"), controls.saved_net(case, folder / "net")


@pytest.mark.parametrize("name", CASES)
def test_a_control_equals_diffusers_own_pipeline(name, homes):
    case, (folder, net) = CASES[name], homes(name)
    partly = {} if case.net[0] == "T2IAdapter" else {"start": 0.3, "end": 0.9}
    partly |= {"mode": 1} if "union" in name else {}
    control = Control(net, PICTURE, 0.8, **partly)
    model = controls.opened(folder)
    ours = controls.run(model, controls.conditioned(model, control))
    assert torch.equal(ours, controls.whole_call(folder, case, control))
    assert not torch.equal(ours, controls.run(model, controls.conditioned(model)))


@pytest.mark.parametrize("name", ["sd15", "flux", "qwenimage", "t2i-sd15"])
def test_several_controls_combine_as_in_diffusers(name, homes, tmp_path):
    case, (folder, net) = CASES[name], homes(name)
    second = net if name == "qwenimage" else controls.saved_net(case, tmp_path / "second", seed=2)
    pair = [Control(net, PICTURE, 0.5), Control(second, PICTURE.flip(1), 0.3)]
    model = controls.opened(folder)
    ours = controls.run(model, controls.conditioned(model, *pair))
    assert torch.equal(ours, controls.whole_call(folder, case, *pair))
    assert not torch.equal(ours, controls.run(model, controls.conditioned(model, pair[0])))


@pytest.mark.parametrize("name", ["sdxl-union", "flux-union"])
def test_a_control_net_of_many_kinds_does_what_its_mode_says(name, homes):
    folder, net = homes(name)
    model = controls.opened(folder)
    first, last = (
        controls.run(model, controls.conditioned(model, Control(net, PICTURE, mode=mode))) for mode in (0, 2)
    )
    assert not torch.equal(first, last)
    for mode in (-1, 3):
        with pytest.raises(AigcError, match=f"mode from 0 to 2 for net.*got {mode}"):
            controls.conditioned(model, Control(net, PICTURE, mode=mode))


def test_a_control_of_strength_0_is_none_at_all(homes):
    folder, net = homes("sd15")
    model = controls.opened(folder)
    plain = controls.conditioned(model)
    off = stages.add_control(plain, Control(net, PICTURE, 0.0))
    assert plain.controls == () and torch.equal(controls.run(model, off), controls.run(model, plain))
    on = Control(net, PICTURE, 0.7)
    both = stages.add_control(stages.add_control(plain, on), Control(net, OTHER, 0.0))
    assert torch.equal(controls.run(model, both), controls.run(model, stages.add_control(plain, on)))


def test_a_run_with_a_control_leaves_the_model_as_it_was(homes):
    folder, net = homes("flux")
    model = controls.opened(folder)
    plain = controls.conditioned(model)
    before = controls.run(model, plain)
    controls.run(model, stages.add_control(plain, Control(net, PICTURE)))
    assert torch.equal(controls.run(model, plain), before)


@pytest.mark.parametrize("name", ["sd15", "flux"])
def test_a_control_net_is_gone_when_another_takes_its_place(name, homes, tmp_path):
    case, (folder, net) = CASES[name], homes(name)
    second, model = controls.saved_net(case, tmp_path / "second", seed=2), controls.opened(folder)
    gc.collect()
    gc.disable()  # the interpreter collects rings when it likes
    try:
        controls.run(model, controls.conditioned(model, Control(net, PICTURE)))
        first = [weakref.ref(one) for one, _ in nets._held.values()]
        assert [one() is None for one in first] == [False]
        nets.opened([second], CPU, torch.float32)
        assert [one() for one in first] == [None]
    finally:
        gc.enable()


@pytest.mark.parametrize("name", ["sd15", "sd3", "t2i-sd15"])
def test_a_batch_with_a_control_each_equals_its_singles(name, homes):
    folder, net = homes(name)
    model = controls.opened(folder)
    pictures = torch.cat([PICTURE, PICTURE.flip(2)])
    latents = stages.empty_latents(model, **staged.SIZE, batch_size=2)
    batch = controls.run(model, controls.conditioned(model, Control(net, pictures)), latents)
    for row in range(2):
        single = controls.run(model, controls.conditioned(model, Control(net, pictures[row : row + 1])), seed=42 + row)
        assert torch.allclose(batch[row], single[0], atol=2e-5)


def test_a_batch_with_two_controls_each_equals_its_singles(homes):
    folder, net = homes("flux")
    model, pictures = controls.opened(folder), torch.rand(2, 32, 32, 3, generator=torch.Generator().manual_seed(1))
    latents = stages.empty_latents(model, **staged.SIZE, batch_size=2)
    pair = lambda p: (Control(net, p, 0.5), Control(net, p.flip(1), 0.4))  # noqa: E731
    batch = controls.run(model, controls.conditioned(model, *pair(pictures)), latents)
    for row in range(2):
        single = controls.run(model, controls.conditioned(model, *pair(pictures[row : row + 1])), seed=42 + row)
        assert torch.allclose(batch[row], single[0], atol=2e-5)


def test_a_control_works_from_a_picture_too(homes):
    folder, net = homes("sd15")
    model = controls.opened(folder)
    start = stages.encode_image(model, OTHER[:, :32, :32], runtime=CPU)
    plain = controls.conditioned(model)
    ours = [
        controls.run(model, cond, start, denoise=0.5)
        for cond in (plain, stages.add_control(plain, Control(net, PICTURE)))
    ]
    assert ours[0].shape == ours[1].shape and not torch.equal(*ours)


def test_a_control_net_in_one_file_equals_its_folder(tmp_path):
    from safetensors.torch import save_file

    config = {"cross_attention_dim": 32, "block_out_channels": (32, 32, 32, 32)}
    net = controls.made_net(CASES["sd15"]._replace(net=("ControlNetModel", config)))
    net.save_pretrained(tmp_path / "net")
    save_file(net.state_dict(), tmp_path / "alone.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(networks.WIDTHS, 32, {"block_out_channels": (32, 32, 32, 32)})
        loaded = networks.load_network(tmp_path / "alone.safetensors", torch.float32).state_dict()
        assert networks.config_of(tmp_path / "alone.safetensors")["cross_attention_dim"] == 32
    assert all(torch.equal(loaded[key], value) for key, value in net.state_dict().items())


SD35 = {
    "num_layers": 19, "num_attention_heads": 38, "joint_attention_dim": None, "caption_projection_dim": 2432,
    "pos_embed_max_size": None, "pos_embed_type": None, "use_pos_embed": False,
    "force_zeros_for_pooled_projection": False,
}  # fmt: skip
SHAPES = {
    "sd15": ("ControlNetModel", {"cross_attention_dim": 768}),
    "sd2": (
        "ControlNetModel",
        {"cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True},
    ),
    "sdxl-small": ("ControlNetModel", {**controls.SDXL, "transformer_layers_per_block": (1, 1, 1)}),
    "sdxl": ("ControlNetModel", controls.SDXL),
    "sdxl-union": (
        "ControlNetUnionModel",
        {**controls.SDXL, "num_control_type": 8, "conditioning_embedding_out_channels": (48, 96, 192, 384)},
    ),
    "flux": ("FluxControlNetModel", {"num_layers": 5, "num_single_layers": 2, "num_mode": 10, "guidance_embeds": True}),
    "flux-xlabs": (
        "FluxControlNetModel",
        {"num_layers": 2, "num_single_layers": 0, "conditioning_embedding_channels": 16, "guidance_embeds": True},
    ),
    "sd3": ("SD3ControlNetModel", {"num_layers": 6, "num_attention_heads": 24, "caption_projection_dim": 1536,
                                   "pos_embed_max_size": 192, "extra_conditioning_channels": 1}),
    "sd35": ("SD3ControlNetModel", SD35),
    "qwen": ("QwenImageControlNetModel", {"num_layers": 5}),
    "qwen-inpaint": ("QwenImageControlNetModel", {"num_layers": 3, "extra_condition_channels": 4}),
}  # fmt: skip
# Small, with heads of the released size.
ALONE = {
    "sd3": ("SD3ControlNetModel", {"num_layers": 2, "num_attention_heads": 1, "caption_projection_dim": 64,
                                   "joint_attention_dim": 32, "pooled_projection_dim": 16, "pos_embed_max_size": 8}),
    "sd35": ("SD3ControlNetModel", {**SD35, "num_layers": 2, "num_attention_heads": 2, "caption_projection_dim": 128,
                                    "pooled_projection_dim": 16}),
    "flux-union": ("FluxControlNetModel", {"num_layers": 2, "num_single_layers": 1, "num_attention_heads": 1,
                                           "joint_attention_dim": 32, "pooled_projection_dim": 16, "num_mode": 6}),
    "flux-xlabs": ("FluxControlNetModel", {"num_layers": 2, "num_single_layers": 0, "num_attention_heads": 1,
                                           "joint_attention_dim": 32, "pooled_projection_dim": 16, "guidance_embeds": True,
                                           "conditioning_embedding_channels": 16}),
    "qwen": ("QwenImageControlNetModel", {"num_layers": 2, "num_attention_heads": 1, "joint_attention_dim": 32}),
}  # fmt: skip


def _stability(net):
    """SD 3.5's control nets as Stability publishes them."""
    rows = {"attn.to_out.0": "attn.proj", "ff.net.0.proj": "mlp.fc1", "ff.net.2": "mlp.fc2",
            "norm1.linear": "adaLN_modulation.1"}  # fmt: skip
    state, blocks = dict(net.state_dict()), "transformer_blocks"
    found = stacked(state, blocks, blocks, {"attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v")})
    for key, value in state.items():
        head, number, rest = [*key.split(".", 2), ""][:3]
        found[f"{blocks}.{number}.{renamed(rest, rows)}" if head == blocks else key] = value
    return found | {"control_type": torch.tensor([1])}


def _xlabs(net):
    hints = {f"input_hint_block.blocks.{n}": f"input_hint_block.{2 * n + 2}" for n in range(6)}
    rows = {**hints, "input_hint_block.conv_in": "input_hint_block.0", "input_hint_block.conv_out": "input_hint_block.14",
            "controlnet_x_embedder": "pos_embed_input"}  # fmt: skip
    return {renamed(key, rows): value for key, value in original_flux(net).items()}


LAYOUTS = {"sd35": _stability, "flux-xlabs": _xlabs}


@pytest.mark.parametrize(("kind", "own"), [*((kind, False) for kind in ALONE), *((kind, True) for kind in LAYOUTS)])
def test_a_newer_control_net_in_one_file_equals_its_folder(kind, own, tmp_path):
    from safetensors.torch import save_file

    net = controls.made_net(CASES["flux"]._replace(net=ALONE[kind]))
    net.save_pretrained(tmp_path / "net")
    tensors = LAYOUTS[kind](net) if own else net.state_dict()
    save_file({key: value.contiguous() for key, value in tensors.items()}, tmp_path / "alone.safetensors")
    folder, alone = (networks.load_network(tmp_path / p, torch.float32) for p in ("net", "alone.safetensors"))
    assert type(folder) is type(alone) and folder.state_dict().keys() == alone.state_dict().keys()
    assert all(torch.equal(alone.state_dict()[key], value) for key, value in folder.state_dict().items())
    assert {k: _plain(v) for k, v in alone.config.items() if k[0] != "_"} == {
        k: _plain(v) for k, v in folder.config.items() if k[0] != "_"
    }


@pytest.mark.parametrize("kind", SHAPES)
def test_the_config_of_a_single_file_is_read_off_its_shapes(kind, tmp_path):
    import diffusers

    name, config = SHAPES[kind]
    with torch.device("meta"):
        wanted = getattr(diffusers, name).from_config(config)
        shapes = {key: tuple(value.shape) for key, value in wanted.state_dict().items()}
        cls, found = networks.kind_of(shapes, "net.safetensors")
        ours = cls.from_config(found)
    assert {k: tuple(v.shape) for k, v in ours.state_dict().items()} == shapes
    same = set(config) | {"num_attention_heads", "attention_head_dim"}
    assert all(_plain(ours.config.get(key)) == _plain(wanted.config.get(key)) for key in same)


def _plain(value):
    return tuple(value) if isinstance(value, list | tuple) else value


def test_what_does_not_fit_is_refused(homes, tmp_path):
    (sd15, net), (flux, flux_net) = homes("sd15"), homes("flux")
    cond, other = controls.conditioned(controls.opened(sd15)), controls.conditioned(controls.opened(flux))
    with pytest.raises(AigcError, match="Expected a ControlNetModel for StableDiffusionPipeline, got net"):
        stages.add_control(cond, Control(flux_net, PICTURE))
    with pytest.raises(AigcError, match="Expected a FluxControlNetModel"):
        stages.add_control(other, Control(net, PICTURE))
    with pytest.raises(AigcError, match="for which diffusers has no such pipeline"):
        stages.add_control(other, Control(homes("t2i-sd15")[1], PICTURE))
    with pytest.raises(AigcError, match="Expected a control net or a T2I-Adapter"):
        stages.add_control(cond, Control(sd15 / "vae", PICTURE))
    with pytest.raises(AigcError, match="Expected start before end"):
        stages.add_control(cond, Control(net, PICTURE, start=0.8, end=0.2))
    with pytest.raises(AigcError, match="strength of 0 or more"):
        stages.add_control(cond, Control(net, PICTURE, -1.0))
    pickle = tmp_path / "net.pth"
    pickle.write_bytes(b"PK\x03\x04")
    with pytest.raises(AigcError, match="pickle"):
        stages.add_control(cond, Control(pickle, PICTURE))


def test_a_control_net_of_another_model_of_the_family_is_refused(homes):
    (folder, _), (_, xl) = homes("sd15"), homes("sdxl")
    model = controls.opened(folder)
    with pytest.raises(AigcError, match=r"cross_attention_dim 32.*cross_attention_dim 64"):
        controls.run(model, controls.conditioned(model, Control(xl, PICTURE)))


def test_kinds_of_controls_are_not_mixed_and_pictures_fit_the_batch(homes):
    (folder, net), (_, adapter) = homes("sd15"), homes("t2i-sd15")
    model = controls.opened(folder)
    with pytest.raises(AigcError, match="controls of one kind"):
        controls.run(model, controls.conditioned(model, Control(net, PICTURE), Control(adapter, PICTURE)))
    with pytest.raises(AigcError, match="1 or 1 control images, got 2"):
        controls.run(model, controls.conditioned(model, Control(net, torch.cat([PICTURE] * 2))))
    with pytest.raises(AigcError, match="controls every step"):
        controls.run(model, controls.conditioned(model, Control(adapter, PICTURE, end=0.5)))


def test_a_control_on_blocks_is_refused_as_what_it_is(homes):
    folder, net = homes("flux")
    blocks = modular.open_folder(folder, dtype="float32", offload="keep")
    with pytest.raises(AigcError, match=r"classic pipeline for net, got the blocks of a FluxModularPipeline"):
        controls.conditioned(blocks, Control(net, PICTURE))
