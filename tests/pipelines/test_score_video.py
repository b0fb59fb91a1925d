"""Judges of video: exact on videos that are made by rule; one score for all frames."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from pipelines.errors import AigcError
from pipelines.runtime import Runtime
from pipelines.score import frames, judges, scoring, video
from pipelines.sources import Roots

CPU = Runtime("cpu")


def texture(seed: int = 0, side: int = 160) -> torch.Tensor:
    """Smooth blobs with some detail, [3, s, s]."""
    generator = torch.Generator().manual_seed(seed)
    layers = [
        F.interpolate(torch.rand(1, 3, n, n, generator=generator), (side, side), mode="bicubic", align_corners=False)
        for n in (6, 20, 40)
    ]
    return (0.5 * layers[0] + 0.35 * layers[1] + 0.15 * layers[2]).clamp(0, 1)[0]


def moving(step: float, count: int = 8, wobble: float = 0.0, seed: int = 0) -> torch.Tensor:
    """A texture that slides right by `step` pixels a frame, IMAGE [F, 96, 96, 3]; wobble: added to every other frame's place."""
    x = texture(seed)
    places = [i * step + wobble * (i % 2) for i in range(count)]
    return torch.stack([x[:, 20:116, 20 + round(p) : 116 + round(p)] for p in places]).movedim(1, -1)


def score_of(name: str, image: torch.Tensor, **options) -> float:
    scores = scoring.score(judges.open_discriminator(name, roots=Roots()), image, runtime=CPU, **options)
    assert len(scores.values) == 1 and scores.unit
    return scores.values[0]


def test_a_still_video_does_not_flicker_or_move_and_is_consistent():
    still = moving(0)
    assert score_of("flicker", still) == 0 and score_of("dynamic-degree", still) < 0.05
    assert score_of("motion-smoothness", still) > -0.1
    assert score_of("subject-consistency", still) == pytest.approx(1, abs=1e-5)


def test_a_flash_flickers_by_its_height_and_an_even_fade_does_not():
    grey = torch.full((9, 64, 64, 3), 0.5)
    flash = grey.clone()
    flash[1::2] += 20 / 255
    fade = grey + torch.linspace(0, 0.4, 9)[:, None, None, None]
    assert score_of("flicker", flash) == pytest.approx(-20, abs=1e-3)
    assert score_of("flicker", fade) == pytest.approx(0, abs=1e-3)


def test_even_motion_is_smoother_than_motion_that_jerks():
    even, jerky = score_of("motion-smoothness", moving(2)), score_of("motion-smoothness", moving(2, wobble=4))
    assert even > -2 and jerky < even - 2


def test_the_dynamic_degree_is_the_speed_against_the_diagonal():
    speeds = [score_of("dynamic-degree", moving(step)) for step in (1, 2, 4)]
    for step, found in zip((1, 2, 4), speeds):
        assert found == pytest.approx(100 * step / (96 * 2**0.5), rel=0.3)


def test_a_cut_to_another_subject_is_less_consistent_than_slow_motion():
    slow = moving(1)
    cut = torch.cat([slow[:4], moving(1, seed=5)[:4]])
    assert score_of("subject-consistency", cut) < score_of("subject-consistency", slow) - 0.1


def test_frames_of_any_size_take_the_motion_of_their_reduced_ones():
    x = moving(2, count=5)
    large = F.interpolate(x.movedim(-1, 1), (384, 384), mode="bicubic").movedim(1, -1).clamp(0, 1)
    assert score_of("dynamic-degree", large) == pytest.approx(score_of("dynamic-degree", x), rel=0.2)
    wide = x[:, :40]
    assert all(abs(score_of(name, wide)) < 100 for name in video.TABLE)


@pytest.mark.parametrize("name", video.TABLE)
def test_too_few_frames_are_refused_and_none_are_no_error(name):
    judge = judges.open_discriminator(name, roots=Roots())
    with pytest.raises(AigcError, match="Expected at least"):
        scoring.score(judge, moving(1, count=1), runtime=CPU)
    assert scoring.score(judge, moving(1)[:0], runtime=CPU).values == ()
    with pytest.raises(AigcError, match="one number only"):
        scoring.heatmap(judge, moving(1), runtime=CPU)


def test_a_judge_of_pictures_over_frames_is_the_mean_or_the_worst_of_its_scores():
    judge = judges.open_discriminator("colourfulness", roots=Roots())
    image = torch.cat([moving(3, count=10), moving(1, count=10, seed=4)])
    each = scoring.score(judge, image, runtime=CPU).values
    for how, expected in (("mean", sum(each) / 20), ("worst", min(each))):
        scores = scoring.score(frames.over_frames(judge, how), image, runtime=CPU)
        assert scores.values == pytest.approx([expected], rel=1e-5)
        assert scores.judge == f"colourfulness ({how} of frames)" and scores.probability is None
    with pytest.raises(AigcError, match="set frames to each"):
        frames.over_frames(judges.open_discriminator("flicker", roots=Roots()), "mean")


def test_the_interrupt_acts_within_a_video():
    class Stop(BaseException):
        pass

    class Stopping(Runtime):
        asked = 0

        def check_interrupt(self) -> None:
            self.asked += 1
            if self.asked > 4:
                raise Stop

    judge = judges.open_discriminator("dynamic-degree", roots=Roots())
    runtime = Stopping("cpu")
    with pytest.raises(Stop):
        scoring.score(judge, moving(1, count=12), runtime=runtime)
    assert runtime.asked == 5


def test_a_video_of_the_host_gives_its_frames_and_its_sound():
    class Parts:
        images, audio = moving(1), {"waveform": torch.zeros(1, 1, 8), "sample_rate": 8}

    flicker, sound = (judges.BUILT_IN[name][1] for name in ("flicker", "dnsmos"))
    assert scoring.wanted(flicker, video=Parts) is Parts.images
    assert scoring.wanted(judges.BUILT_IN["sharpness"][1], video=Parts) is Parts.images
    assert scoring.wanted(sound, video=Parts) is Parts.audio
    with pytest.raises(AigcError, match="both"):
        scoring.wanted(flicker, image=Parts.images, video=Parts)
