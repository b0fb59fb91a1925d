"""Tunes: ABC both ways, tokens both ways, exact bars whatever the model says, openings kept, copies counted."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from benchmarks.measures.music import Runs
from pipelines.errors import AigcError
from pipelines.music import abc, compose, model, quoting, tokens
from pipelines.music.tune import METRES, MODES, Key, Note, Tune, beat_of, exact

REEL = """X:1
T:A reel of ours
R:reel
M:C|
L:1/8
K:Edor
B2|:"Em"E2GA B2 AG|{c}^cBAF- FD (3DEF|E>G B<e d2 !trill!cB|[EA]4 z2 e'2-|1e'2 b2 a,2 =c2:|
"""


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return model.build(width=16, layers=1, heads=2).eval()


def reel() -> Tune:
    fields, body = next(abc.tunes(REEL))
    found = abc.tune_of(fields, body)
    assert found is not None
    return found


def test_abc_is_read_as_the_standard_says() -> None:
    tune = reel()
    assert (tune.key, tune.metre, tune.kind) == (Key(4, "dorian"), "4/4", "reel") and exact(tune)
    assert len(tune.bars) == 5  # the pickup is left out
    first, second, third, fourth, fifth = ([note.pitch for note in bar] for bar in tune.bars)
    assert first == [64, 67, 69, 71, 69, 67]
    assert second == [73, 71, 69, 66, 66, 62, 62, 64, 66]  # F is sharp in E dorian, C is sharp too
    assert third == [64, 67, 71, 76, 74, 73, 71]
    assert fourth == [69, None, 88] and fifth == [88, 83, 69, 72]
    lengths = [note.length for note in tune.bars[2]]
    assert lengths == [Fraction(n, 16) for n in (3, 1, 1, 3, 4, 2, 2)]
    assert [note.length for note in tune.bars[1][-3:]] == [Fraction(1, 12)] * 3
    assert [note.held for note in tune.bars[1]].index(True) == 4 and tune.bars[4][0].held


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tonic", range(12))
def test_every_key_is_spelt_and_read_back(tonic: int, mode: str) -> None:
    notes = [Note(pitch, Fraction(1, 8)) for pitch in range(55, 87)]
    tune = Tune(tuple(tuple(notes[i : i + 8]) for i in range(0, 32, 8)), Key(tonic, mode), "4/4")
    fields, body = next(abc.tunes(abc.written(tune)))
    again = abc.tune_of(fields, body)
    assert again is not None and (again.bars, again.key) == (tune.bars, tune.key)


def test_ties_triplets_and_dots_survive_writing() -> None:
    tune = reel()
    fields, body = next(abc.tunes(abc.written(tune, tempo=96)))
    again = abc.tune_of(fields, body)
    assert again is not None and again.bars == tune.bars and fields["Q"] == "1/4=96"


def test_tokens_give_the_tune_back_in_any_key() -> None:
    tune = reel()
    written = tokens.encode(tune)
    assert written is not None and tokens.decode(written, tune.key) == tune
    moved = tokens.decode(written, Key(7, "dorian"))
    assert [a.pitch - b.pitch for a, b in zip(moved.bars[0], tune.bars[0])] == [3] * 6  # type: ignore[operator]
    odd = Tune(((Note(60, Fraction(5, 7)), Note(60, Fraction(2, 7))),), Key(0), "4/4")
    assert tokens.encode(odd) is None and tokens.encode(Tune(((Note(120, Fraction(1)),),), Key(0), "4/4")) is None


@pytest.mark.parametrize("metre", METRES)
def test_whatever_the_model_says_every_bar_is_exact(net, metre: str) -> None:
    for seed, mode in enumerate(MODES):
        tune = compose.compose(
            net, compose.Wanted(Key(seed, mode), metre, bars=9, temperature=5.0, top_p=1.0, seed=seed)
        )
        assert exact(tune) and len(tune.bars) == 9 and (tune.metre, tune.key) == (metre, Key(seed, mode))


def test_a_piece_begins_with_its_opening_and_depends_on_its_seed_alone(net) -> None:
    key = Key(2)
    bars = abc.opening("d2 f2 a2 f2 | e4- e2 z2 | (3efg f>e d4", key, "4/4")
    wanted = compose.Wanted(key, bars=12, opening=bars, seed=5)
    seen: list[int] = []
    tune = compose.compose(net, wanted, on_bar=lambda done, total: seen.append(done))
    assert tune.bars[:3] == bars and exact(tune) and seen[-1] == 12
    assert compose.compose(net, wanted) == tune
    other = compose.compose(net, compose.Wanted(key, bars=12, opening=bars, seed=6))
    assert other.bars[:3] == bars and other != tune


def test_a_stop_keeps_the_bars_that_are_written(net) -> None:
    from pipelines.music import piece as pieces

    class Stop(Exception):
        pass

    def stop_at(bar: int):
        def on_bar(done: int, total: int) -> None:
            if done == bar:
                raise Stop

        return on_bar

    wanted = compose.Wanted(Key(0), bars=8)
    whole = compose.compose(net, wanted)
    kept = compose.compose(net, wanted, on_bar=stop_at(2), stops=(Stop,))
    assert kept.bars == whole.bars[:2] and exact(kept)
    with pytest.raises(Stop):
        compose.compose(net, wanted, on_bar=stop_at(2))
    found = pieces.made(net, piece(bars=40), None, on_bar=stop_at(35), stops=(Stop,))  # in the second section
    assert len(found.tune.bars) == 35 and found.missing == 5 and "5 bars were not written" in pieces.told(found)


def test_the_shipped_model_writes_whole_tunes_that_end_like_tunes() -> None:
    shipped = model.load(Path(__file__).parents[2] / "models" / "music")
    tunes = [compose.compose(shipped, compose.Wanted(Key(2), "6/8", "jig", bars=8, seed=s)) for s in range(8)]
    assert all(exact(tune) for tune in tunes) and len({tune.bars for tune in tunes}) == 8
    notes = [note.pitch for tune in tunes for bar in tune.bars for note in bar if note.pitch is not None]
    assert sum(pitch % 12 in Key(2).scale for pitch in notes) / len(notes) > 0.9  # chance is 7 of 12


def test_the_cached_model_writes_what_a_model_without_cache_would(net) -> None:
    wanted = compose.Wanted(Key(0), "6/8", bars=4, temperature=0)
    written = tokens.encode(compose.compose(net, wanted))
    assert written is not None
    grammar = tokens.Grammar("6/8", 4)
    for at in range(tokens.HEAD, len(written)):
        allowed = grammar.allowed()
        with torch.no_grad():
            logits = net(input_ids=torch.tensor([written[:at]])).logits[0, -1]
        assert written[at] == allowed[int(logits[allowed].argmax())]
        grammar.take(written[at])


def test_copies_are_counted_in_any_key() -> None:
    tune = reel()
    written = tokens.encode(tune)
    assert written is not None
    moved = tokens.decode(written, Key(9, "dorian"))
    count = sum(len(bar) for bar in tune.bars)
    assert Runs([tune]).longest_in(moved) == count
    # The first of a run has no step.
    assert Runs([tune]).longest_in(moved, skip=3) == len(tune.bars[3]) + len(tune.bars[4]) - 1
    assert Runs([]).longest_in(tune) == 0


def test_a_trail_says_of_tokens_what_moves_say_of_bars() -> None:
    tune = reel()
    written = tokens.encode(tune)
    assert written is not None and quoting.Trail(written).line == quoting.moves(tune.bars)


def test_a_filter_of_runs_misses_none_and_is_kept_in_a_file(tmp_path: Path) -> None:
    dice = torch.Generator().manual_seed(0)
    rows = torch.randint(-12, 13, (4000, quoting.RUN + 1), generator=dice).tolist()
    runs = [(*((step, Fraction(1, 8)) for step in row[:-1]), row[-1]) for row in rows]
    quoting.save(quoting.Known.of(runs[:2000]), tmp_path)
    known = quoting.load(tmp_path)
    assert known is not None and all(run in known for run in runs[:2000])
    assert sum(run in known for run in runs[2000:]) < 60
    assert quoting.load(tmp_path / "none") is None


def test_a_tune_that_is_known_is_not_written_again(repo_root: Path) -> None:
    """What the shipped model writes by itself stands for a corpus; with it known, the same seed goes another way."""
    net = model.load(repo_root / "models" / "music")
    wanted = compose.Wanted(Key(2), "4/4", "reel", 8, temperature=0.5, seed=1)
    tune = compose.compose(net, wanted)
    line = quoting.moves(tune.bars)
    again = compose.compose(net, wanted, known=quoting.Known.of(quoting.keys(line)))
    runs = Runs([tune])
    assert runs.longest_in(tune) == len(line) > 3 * quoting.RUN
    assert runs.longest_in(again) <= quoting.RUN and exact(again)


def test_the_shipped_model_knows_its_corpus(repo_root: Path) -> None:
    folder = repo_root / "models" / "music"
    known = quoting.load(folder)
    assert known is not None and (folder / quoting.FILE).stat().st_size < 300_000
    air = abc.opening("c2 B2 A2 | G2 E2 D2 | E2 A2 A2 | A4 A B", Key(9, "minor"), "3/4")  # of O'Neill's collection
    found = [key in known for key in quoting.keys(quoting.moves(air))]
    assert len(found) == 4 and all(found)


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(AigcError, match="8 eighths for 4/4, got 7 in bar 2"):
        abc.opening("d2 f2 a2 f2 | e4 z3", Key(2), "4/4")
    with pytest.raises(AigcError, match="key such as"):
        abc.key_of("H minor")
    with pytest.raises(AigcError, match="got '5/4'"):
        abc.metre_of("5/4")
    with pytest.raises(AigcError, match="1 to 64 bars, got 0"):
        compose.Wanted(Key(0), bars=0)
    bars = (((Note(60, Fraction(1, 1)),),) * 4)[:4]
    with pytest.raises(AigcError, match="more bars than the 4"):
        compose.Wanted(Key(0), bars=4, opening=bars)
    with pytest.raises(AigcError, match="in bar 1 of the opening"):
        compose.primed(compose.Wanted(Key(0), opening=((Note(30, Fraction(1)),),)))
    with pytest.raises(ValueError, match="cannot stand here"):
        tokens.Grammar("4/4", 2).take(tokens.REST)


def test_tempi_count_beats() -> None:
    assert beat_of("6/8") == beat_of("9/8") == Fraction(3, 8) and beat_of("2/4") == Fraction(1, 4)


def piece(**given):
    from pipelines.music.piece import Asked

    return Asked(given.pop("prompt", "a reel in D major"), **given)


def test_words_settings_and_seed_make_the_plan() -> None:
    from pipelines.music.words import plan

    waltz = plan("a sad slow piano waltz in D minor")
    assert (waltz.key, waltz.metre, waltz.kind, waltz.instrument) == (Key(2, "minor"), "3/4", "waltz", "piano")
    assert waltz.tempo < plan("a waltz").tempo < plan("a fast waltz").tempo
    chinese = plan("欢快的小提琴圆舞曲，降B大调，120拍")
    assert (chinese.key, chinese.kind, chinese.instrument, chinese.tempo) == (Key(10), "waltz", "violin", 120)
    assert plan("sad", key="G major").key == Key(7) and plan("waltz", metre="6/8").kind != "waltz"
    assert plan("cafe", seed=3) == plan("cafe", seed=3) and len({plan("cafe", seed=s).key for s in range(20)}) > 3
    assert len({plan("a fair day", seed=s).kind for s in range(20)}) > 3, "there is no air in a fair day"
    with pytest.raises(AigcError, match="got 'kazoo'"):
        plan("", instrument="kazoo")
    with pytest.raises(AigcError, match="key such as D minor"):
        plan("", key="H minor")


def test_a_piece_has_its_length_its_key_and_sounds(net) -> None:
    from pipelines.music import piece as pieces
    from pipelines.music import synth

    asked = piece(seconds=6.0, tempo=200)
    found = pieces.made(net, asked, None)
    assert len(found.tune.bars) == 4 and exact(found.tune) and found.tune.key == Key(2)
    seconds = 4 * 4 * 60 / 200
    assert found.sound.shape[0] == 2 and abs(found.sound.shape[1] / synth.RATE - seconds - synth.TAIL) < 0.3
    assert abs(abs(found.sound).max() - synth.PEAK) < 1e-3 and "reel in D major, 4/4" in pieces.told(found)


def test_a_long_piece_is_composed_in_sections_and_goes_on(net) -> None:
    from pipelines.music import piece as pieces

    seen: list[tuple[int, int]] = []
    tune = pieces.composed(net, *_plan(70), on_bar=lambda done, total: seen.append((done, total)))
    assert len(tune.bars) == 70 and exact(tune)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen) and seen[-1] == (70, 70)


def _plan(bars: int):
    from pipelines.music import piece as pieces

    asked = piece(bars=bars)
    plan, opening = pieces.planned(asked)
    return plan, bars, opening, asked


def test_chords_fit_the_melody_and_end_on_the_tonic() -> None:
    from pipelines.music import performance

    key = Key(0)

    def bar(*found: int) -> tuple[Note, ...]:
        return tuple(Note(pitch, Fraction(1, 4)) for pitch in found)

    bars = (bar(60, 64, 67, 72), bar(65, 69, 72, 69), bar(67, 71, 74, 71), bar(72, 67, 64, 60))
    assert performance.chords(bars, key) == [0, 3, 4, 0]
    assert performance.triad(Key(9, "minor"), 4) == (4, 8, 11)  # the dominant of A minor is E major
    tune = Tune(bars, key, "4/4")
    part = performance.accompaniment(tune, 120, 0)
    assert max(s.start + s.length for s in part.sounds) <= 8.0 and min(s.pitch for s in part.sounds) >= 36


def test_a_plucked_string_has_its_pitch_and_parts_their_places() -> None:
    import numpy as np

    from pipelines.music import synth
    from pipelines.music.performance import Part, Sound

    x = synth.plucked(69, 1.0, 100)
    spectrum = np.abs(np.fft.rfft(x * np.hanning(len(x))))
    assert abs(spectrum.argmax() * synth.RATE / len(x) - 440) < 2
    late = synth.played([Part(0, (Sound(1.0, 0.5, 69, 90),))], None)
    assert abs(late[:, : synth.RATE - 10]).max() == 0 and abs(late[:, synth.RATE :]).max() > 0.5


def test_a_melody_that_is_played_is_heard() -> None:
    import numpy as np

    from pipelines.music import performance, synth, transcribe

    key = Key(7)
    bars = abc.opening("G2 A2 B2 c2 | d2 c2 B4 | A2 B2 A2 F2 | G4 D4", key, "4/4")
    tune = Tune(bars, key, "4/4")
    sound = synth.played([performance.melody(tune, 100, 0)], None)[0]
    x = sound[: len(sound) // 4 * 4].reshape(-1, 4).mean(1)
    found, heard_in, tempo = transcribe.heard(x.astype(np.float32), "4/4", 100)
    assert tempo == 100 and heard_in == key
    assert [[n.pitch for n in bar] for bar in found[:4]] == [[n.pitch for n in bar] for bar in bars]
    assert [n.length for bar in found[:4] for n in bar] == [n.length for bar in bars for n in bar]
    with pytest.raises(AigcError, match="melody of one voice"):
        transcribe.heard(np.zeros(44100, np.float32), "4/4")
