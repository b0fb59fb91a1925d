"""Motion layers: clips as they are meant, flow that tells them apart, and the shipped layers on stills of the shipped model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines import motion, stages
from pipelines.errors import AigcError
from pipelines.loading import Roots, open_model
from pipelines.menus import MOTIONS
from pipelines.motion.network import Block, Motion, Shape, carried, inverse
from pipelines.runtime import Runtime
from pipelines.score import choosing
from training.motion import clips, evaluate, flow

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "models/motion/pictogram.safetensors"
CPU = Runtime("cpu")


@pytest.fixture(scope="module")
def model():
    yield open_model(str(ROOT / "models/pictogram"), roots=Roots(embedded=(ROOT / "models",)), dtype="float32")
    stages.release_all()


@pytest.fixture(scope="module")
def stills(model):
    conditioning = stages.encode_prompt(model, ["a penguin", "red apple"], [""], runtime=CPU)
    return stages.sample(model, conditioning, stages.empty_latents(model), steps=12, cfg=1.5, runtime=CPU)


def arrow(side: int = 128) -> np.ndarray:
    """A picture that looks like itself from nowhere else: an L with a dot."""
    picture = np.full((side, side, 3), 255, np.uint8)
    picture[24:104, 30:54] = (200, 40, 40)
    picture[84:104, 54:96] = (40, 40, 200)
    picture[36:52, 70:86] = (20, 150, 60)
    return picture


def test_a_motion_fits_what_it_carries():
    where = clips.box(arrow())
    assert where == clips.Box(30 / 64 - 1, 24 / 64 - 1, 96 / 64 - 1, 104 / 64 - 1)
    foot = np.array([*where.foot, 1])
    sway = clips.path("sway", where, np.linspace(0, 1, 9))
    assert np.allclose(sway @ foot, (0, where.foot[1] * 0.84)), "the foot stays"
    bounce = clips.path("bounce", where, np.linspace(0, 1, 9))
    heights = (bounce @ foot)[:, 1]
    assert heights[0] == pytest.approx(0.92) and heights.min() == pytest.approx(0.42) and (heights <= 0.92 + 1e-9).all()
    assert np.allclose(clips.path("spin", where, np.array([0.0]))[0], clips.path("spin", where, np.array([1.0]))[0])


def test_carrying_back_gives_the_picture_again():
    picture = arrow()
    assert np.array_equal(clips.carried(picture, np.eye(3)[:2]), picture)
    move = clips.about((0, 0), 0.3, (0.95, 0.95), (0.05, -0.05))
    back = np.linalg.inv(np.vstack([move, (0, 0, 1)]))[:2]
    again = clips.carried(clips.carried(picture, move), back)
    assert (
        np.abs(again.astype(int) - picture).mean()
        < 6
        < np.abs(clips.carried(picture, move).astype(int) - picture).mean()
    )


@pytest.mark.parametrize("kind", clips.PATHS)
def test_the_flow_of_a_clip_tells_its_motion(kind):
    picture = arrow()
    frames = np.stack([clips.carried(picture, m) for m in clips.path(kind, clips.box(picture), np.linspace(0, 1, 16))])
    assert flow.recognised(frames, picture) == kind


def test_carrying_leaves_what_stands_still_and_says_where_nothing_arrives():
    maps = torch.rand(2, 3, 8, 8)
    still = torch.eye(3)[:2].expand(2, 1, 2, 3)
    assert torch.allclose(carried(maps, still)[:, 0], torch.cat((maps, torch.ones(2, 1, 8, 8)), 1), atol=1e-6)
    aside = still.clone()
    aside[..., 0, 2] = 1  # half a picture to the right
    left, right = carried(maps, aside)[:, 0].chunk(2, -1)
    assert torch.allclose(right[:, :3], maps[..., :4], atol=1e-6) and not left.any() and (right[:, 3] == 1).all()


def test_maps_are_turned_round_and_blocks_begin_as_nothing():
    move = torch.tensor(clips.about((0.1, 0.2), 0.7, (0.5, 0.8), (0.3, 0)), dtype=torch.float32)
    whole, back = (torch.cat((m, torch.tensor([[0.0, 0, 1]]))) for m in (move, inverse(move)))
    assert torch.allclose(whole @ back, torch.eye(3), atol=1e-6)
    torch.manual_seed(0)
    h = torch.randn(6, 16, 4, 4)
    assert torch.equal(Block(16, 8, 4)(h, torch.randn(2, 3, 8)), h)


def test_the_menu_is_what_the_shipped_layers_learned():
    assert motion.load(SHIPPED)[0].shape.kinds == MOTIONS and SHIPPED.stat().st_size < 8e6


def test_a_clip_a_still_each_as_alone_and_the_same_every_time(model, stills):
    def moved(latents: torch.Tensor, **other) -> torch.Tensor:
        asked = {"motion": "bounce", "frames": 4, "path": SHIPPED, "runtime": CPU, **other}
        return stages.animate(model, {"samples": latents}, **asked)["samples"]

    both = moved(stills["samples"])
    assert both.shape == (8, 40, 8, 8)
    assert torch.equal(both[4:], moved(stills["samples"][1:]))
    assert not torch.allclose(both, moved(stills["samples"], motion="spin"), atol=0.1)
    assert not torch.allclose(both, moved(stills["samples"], strength=0.6), atol=0.1)
    assert torch.allclose(
        moved(stills["samples"], frames=3)[:2], moved(stills["samples"], frames=2, loop=True)[:2], atol=0.2
    )


def test_the_decoder_looks_back_at_the_still_of_frames_that_are_unchanged(model, stills):
    moved = stages.animate(model, stills, motion="sway", frames=4, path=SHIPPED, runtime=CPU)
    seen, plain = (stages.decode_image(model, what, runtime=CPU) for what in (moved, {"samples": moved["samples"]}))
    whole = (stages.decode_image(model, stills, runtime=CPU).numpy() * 255).round().astype(np.uint8)
    about = moved["aigc_motion"]
    pairs = zip(about.rows, about.moves.double().numpy(), strict=True)
    meant = torch.tensor(np.stack([clips.carried(whole[row], move) for row, move in pairs])) / 255
    far = [float((frames - meant).abs().mean()) for frames in (seen, plain)]
    assert far[0] < 0.6 * far[1], far
    some = choosing.taken(moved, [6, 1], 8)
    assert torch.allclose(stages.decode_image(model, some, runtime=CPU), seen[[6, 1]], atol=1e-4)
    other = {**moved, "samples": moved["samples"] + 0.1}
    changed, bare = (stages.decode_image(model, what, runtime=CPU) for what in (other, {"samples": other["samples"]}))
    assert torch.equal(changed, bare)


def test_shipped_motions_are_recognised_and_keep_their_subject(model):
    prompts = ["a penguin"]
    judge = evaluate.agreement(ROOT / "models")
    stills = evaluate.stills_of(model, prompts)
    found = [clip for kind in MOTIONS for clip in evaluate.clips_of(model, SHIPPED, prompts, stills, kind)]
    right = [flow.recognised(clip.frames, clip.still) == clip.kind for clip in found]
    assert np.mean(right) >= 0.8
    assert np.mean([evaluate.kept(model, judge, clip) for clip in found]) >= 0.85


def test_an_interrupt_acts_between_two_stills(model, stills):
    class Stop(Exception):
        pass

    class Stopping(Runtime):
        left = 2

        def check_interrupt(self) -> None:
            self.left -= 1
            if self.left == 0:
                raise Stop

    with pytest.raises(Stop):
        stages.animate(model, stills, motion="sway", frames=2, path=SHIPPED, runtime=Stopping("cpu"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"motion": "fly"}, "Expected a motion of zoom in, .* got 'fly'"),
        ({"frames": 1}, "Expected two frames or more, got 1"),
        (
            {"latents": {"samples": torch.zeros(1, 40, 16, 16)}},
            r"128 x 128 pixels\), got \[1, 40, 16, 16\]: load that model",
        ),
    ],
)
def test_what_does_not_fit_is_refused(model, stills, changed, message):
    asked = {"latents": stills, "motion": "sway", "frames": 2, "path": SHIPPED, "runtime": CPU} | changed
    with pytest.raises(AigcError, match=message):
        stages.animate(model, **asked)


def test_another_model_is_refused(tiny_model):
    from . import staged

    other, latents = staged.opened(tiny_model("sd15"), "sd15")
    with pytest.raises(AigcError, match="Expected stills of the model that comes with the pack"):
        stages.animate(other, latents, motion="sway", frames=2, path=SHIPPED, runtime=CPU)


def test_a_file_keeps_the_layers_and_another_file_is_refused(tmp_path: Path):
    torch.manual_seed(1)
    made = Motion(Shape(("a", "b"), channels=4, side=8, pixels=2, fine=4, width=16, blocks=1, signal=16))
    motion.save(tmp_path / "m.safetensors", made, scale=1.5)
    read, scale = motion.load(tmp_path / "m.safetensors")
    assert scale == 1.5 and read.shape == made.shape and not list(tmp_path.glob("*.part"))
    assert all(torch.equal(v.half().float(), read.state_dict()[k]) for k, v in made.state_dict().items())
    (tmp_path / "torn.safetensors").write_bytes(SHIPPED.read_bytes()[:1000])
    with pytest.raises(AigcError, match=r"torn\.safetensors, but it cannot be read"):
        motion.load(tmp_path / "torn.safetensors")
    with pytest.raises(AigcError, match="got another kind of file"):
        motion.load(ROOT / "models/judges/pictogram.safetensors")
