"""Music by MusicGen (Copet et al. 2023, arXiv 2306.05284) and its melody version, through transformers.

A prompt becomes sound; MusicGen goes on from a melody, MusicGen Melody follows its tune. Longer pieces go on from their own end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import AigcError
from ..media import at_rate, audio, heard
from ..runtime import Runtime
from ..sources import Roots, Watch
from ..waveforms import MUSIC, Opened, interruptible, opened

AT_ONCE = 30.0  # seconds that the models were trained on
CARRIED = 10.0  # of these, that a longer piece goes on from
JOINT = 0.02  # seconds over which a piece fades into what goes on from it
OnSecond = Callable[[int, int], None]


def compose(
    prompt: str,
    seconds: float,
    source: str,
    *,
    melody: Any = None,
    temperature: float = 1.0,
    seed: int = 0,
    roots: Roots,
    runtime: Runtime,
    watch: Watch | None = None,
    on_bar: OnSecond | None = None,
    stops: tuple[type[BaseException], ...] = (),
) -> dict[str, Any]:
    """A piece of `seconds`, the melody's own among them where it goes on from one, as {"waveform": [1, C, T], "sample_rate"}.

    source: a folder or hub id. melody: an AUDIO. The length is exact to one frame of the model (20 ms). on_bar(done, total)
    counts seconds once a section; one of `stops` raised by it or by an interrupt keeps the sections that are whole. The
    same seed gives the same sound. Raises AigcError for another kind of model, a melody as long as the piece, or more than
    AT_ONCE from MusicGen Melody.
    """
    import torch

    with torch.random.fork_rng():  # transformers draws weights before it reads them
        model = opened(source, MUSIC.__contains__, "MusicGen or MusicGen Melody", roots, runtime, watch)
    given = None if melody is None else _like(model, melody)
    _check(model, seconds, given)
    net = model.pipe.model
    with runtime.placed([net]), interruptible(net, runtime), torch.random.fork_rng():
        torch.manual_seed(seed)
        made = _in_sections(model, prompt, seconds, given, temperature, on_bar or (lambda done, total: None), stops)
    return audio(made, model.rate)


def _like(model: Opened, melody: Any) -> Any:
    """[C, T] at the model's rate, in as many channels as it hears."""
    sound = at_rate(heard(melody, "melody"), model.rate).waveform[0]
    channels = int(model.pipe.model.config.decoder.audio_channels)
    return sound.mean(0, keepdim=True).repeat(channels, 1)


def _check(model: Opened, seconds: float, given: Any) -> None:
    if model.kind == "musicgen_melody":
        if seconds > AT_ONCE:
            raise AigcError(
                f"Expected at most {AT_ONCE:g} seconds of MusicGen Melody, which cannot go on from its own end, got {seconds:g}: "
                "ask for less, or use MusicGen."
            )
    elif given is not None and given.shape[-1] >= seconds * model.rate:
        raise AigcError(
            f"Expected a piece longer than the melody of {given.shape[-1] / model.rate:.1f} seconds that it goes on from, got "
            f"{seconds:g}: ask for more seconds, or trim the melody."
        )


def _in_sections(
    model: Opened, prompt: str, seconds: float, given: Any, temperature: float, on_second: OnSecond, stops: Any
) -> Any:
    """[C, T]."""
    wanted, at_once, carried = (round(span * model.rate) for span in (seconds, AT_ONCE, CARRIED))
    follows = model.kind == "musicgen_melody"
    done = None if follows else given
    try:
        while done is None or done.shape[-1] < wanted:
            length = 0 if done is None else done.shape[-1]
            on_second(length // model.rate, round(seconds))
            known = min(length, carried) // _hop(model) * _hop(model)  # whole frames
            before = given if follows else done[:, -known:] if done is not None and known else None
            made = _generated(model, prompt, before, min(at_once - known, wanted - length), temperature)
            done = made if done is None else _joined(done, made, known, round(JOINT * model.rate))
    except stops:
        if done is None:
            raise
    else:
        on_second(round(seconds), round(seconds))
    return done[:, :wanted]


def _hop(model: Opened) -> int:
    """Samples of one frame."""
    return round(model.rate / model.pipe.model.config.audio_encoder.frame_rate)


def _generated(model: Opened, prompt: str, before: Any, fresh: int, temperature: float) -> Any:
    """[C, T] of what was before and at least `fresh` samples after it; before: None, or [C, T]."""
    import torch

    net = model.pipe.model
    sound = {} if before is None else {"audio": _as_read(model, before), "sampling_rate": model.rate}
    given = model.words(text=[prompt], padding=True, return_tensors="pt", **sound).to(net.device)
    given = {name: value.to(net.dtype) if value.is_floating_point() else value for name, value in given.items()}
    decoder = net.config.decoder
    delay = decoder.num_codebooks // decoder.audio_channels - 1  # each codebook is one step behind the one before it
    steps = -(-fresh // _hop(model)) + delay
    drawn = {"do_sample": True, "temperature": temperature} if temperature else {"do_sample": False}
    with torch.inference_mode():
        made = net.generate(**given, **drawn, max_new_tokens=steps)
    return made[0].float().cpu()


def _as_read(model: Opened, sound: Any) -> Any:
    """As the model's processor takes it: [T], or [2, T] by MusicGen in stereo; MusicGen Melody hears one voice."""
    return sound.mean(0).numpy() if model.kind == "musicgen_melody" or len(sound) == 1 else sound.numpy()


def _joined(done: Any, made: Any, known: int, fade: int) -> Any:
    """`done`, faded into the model's own version of its end, and what follows. made: [C, T], its first `known` samples old."""
    import torch

    fade = min(fade, known)
    ramp = torch.linspace(0, 1, fade)
    blend = done[:, -fade:] * (1 - ramp) + made[:, known - fade : known] * ramp
    return torch.cat((done[:, : done.shape[-1] - fade], blend, made[:, known:]), -1)
