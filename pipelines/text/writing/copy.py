"""A slogan, a product line, a character's line, the scenes of a story: one clean line each, by a model or by tables."""

from __future__ import annotations

from ...errors import AigcError
from ..asking import Asked, Sampling
from .cleaning import one_line, talks
from .prompts import Ask
from .tasks import TASKS, Task
from .words import content, joined, language, pick

MISSES = 2  # answers of no use before the tables write the rest


def write(task: str, about: str, *, count: int = 1, seed: int = 0, ask: Ask | None = None) -> tuple[str, str]:
    """(lines, report): `count` lines of a task of TASKS about something. Raises AigcError.

    ask: what a language model answers; None: the tables alone, which also write what the model does not.
    """
    about = about.strip()
    if not about:
        raise AigcError("Expected what the lines are about, got nothing: write a product, a character or a story.")
    if task not in TASKS:
        raise AigcError(f"Expected one of {', '.join(TASKS)}, got '{task}': choose one of these.")
    if count < 1:
        raise AigcError(f"Expected at least 1 line, got {count}: change it.")
    row, notes, lines = TASKS[task], [], []
    if ask is not None and language(about) != "en":
        notes.append("The small model writes English only: the tables wrote this.")
    elif ask is not None:
        try:
            lines = _scenes(row, about, count, seed, ask) if row.keep else _lines(row, about, count, seed, ask)
        except AigcError as error:
            notes.append(f"The language model could not be asked: {error}")
    own = len(lines)
    lines += [line for line in tabled(row, about, seed, count) if line not in lines][: count - own]
    notes.append(f"{own} of {len(lines)} lines by the language model, {len(lines) - own} by the tables.")
    if len(lines) < count:
        notes.append(f"The tables have no more lines than these for {count} asked.")
    return "\n".join(lines), "\n".join(notes)


def _lines(row: Task, about: str, count: int, seed: int, ask: Ask) -> list[str]:
    """One question a line, with the next seed; two answers of no use end it."""
    found: list[str] = []
    for number in range(count + MISSES - 1):
        if len(found) == count or number - len(found) == MISSES:
            break
        asked = Asked(about, row.system, turns=row.examples, stops=("\n",))
        sampling = Sampling(3 * row.most, 0.8, min_p=0.1, repetition_penalty=1.1, seed=(seed + number) % 2**64)
        line = usable(ask(asked, sampling), row, about)
        if line and line not in found:
            found.append(line)
    return found


def _scenes(row: Task, about: str, count: int, seed: int, ask: Ask) -> list[str]:
    """One question for all of them: a story goes on from line to line."""
    asked = Asked(about, f"{row.system} Write {count} lines.", turns=row.examples, stops=("\n\n",))
    answer = ask(asked, Sampling(count * 2 * row.most, 0.7, min_p=0.1, repetition_penalty=1.1, seed=seed))
    lines = [usable(line, row, about) for line in answer.splitlines()]
    found = [beginning(about, line) for line in dict.fromkeys(lines) if line][:count]
    return found if len(found) == count else []  # half a story does not go on with the tables' scenes


def beginning(about: str, line: str) -> str:
    """A scene with what the story is about in front, so that each line is a prompt of its own."""
    low = line.lower()
    return line if all(word in low for word in content(about)) else joined(about, line, ", ")


def usable(answer: str, row: Task, about: str) -> str:
    """The answer as one clean line; "" when it is too long, talks about the task, or repeats an example or the question."""
    line = one_line(answer)
    shown = {example.lower() for _, said in row.examples for example in said.splitlines()}
    good = 0 < len(line.split()) <= row.most and line.isascii() and line.lower() not in shown and not talks(line)
    good = good and not (row.new and about.lower().rstrip(".") in line.lower())
    return line if good else ""


def tabled(row: Task, about: str, seed: int, count: int) -> list[str]:
    """Lines of the tables, each once, in an order that the seed chooses; scenes in their own, spread over the story."""
    chinese = language(about) == "zh"
    table = row.chinese if chinese else row.english
    low = about.lower()
    lines = [line for key, said in table.items() if key and key in low for line in said] or list(table[""])
    if row.keep:
        between = "，" if chinese else ", "
        places = [round(i * (len(lines) - 1) / max(count - 1, 1)) for i in range(count)]
        return [f"{about}{between}{lines[place]}" for place in dict.fromkeys(places)]
    lines.sort(key=lambda line: pick(range(2**32), seed, line))
    return [line.format(x=about, X=about[0].upper() + about[1:]) for line in lines]
