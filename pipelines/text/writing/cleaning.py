"""What of a small model's answer can be used: no talk about the task, no repetition, no half sentence."""

from __future__ import annotations

import re

from .words import WORD, content

# Words of somebody who talks, not of a picture.
TALK = frozenset(
    "i i'm i've i'll me my mine you your yours you're we our ours us please sure certainly here's prompt words picture pictures "
    "image images description user assistant sorry cannot can't let's".split()
)
# A model that read the internet says these unasked; what is for customers and players does not.
CRUDE = frozenset(
    "ass asshole bastard bitch bloody bollocks bullshit cock crap cunt damn dick fuck fucked fucking goddamn "
    "motherfucker naked nude piss porn pussy rape sex sexy shit slut whore".split()
)
# A picture has no past: a model that begins to tell a story leaves it.
PAST = frozenset("was were had has been have once never".split())
TAG_WORDS = 7
TAGS = 8
FEWEST = 2  # tags
SENTENCES = 3
NEW = 3  # content words that a sentence brings
LONGEST = 40  # words of a sentence


def tags_of(answer: str, words: str) -> str:
    """The answer's tags that say something new, joined by commas; "" for fewer than two."""
    known, found = set(content(words)), []
    for part in re.split(r"[,;.\n]", after(words, answer)):
        tag = re.sub(r"^(and|a|an|the|with|in)\s+", "", " ".join(part.split()), flags=re.IGNORECASE).strip(" -:\"'“”")
        fresh = set(content(tag)) - known
        if fresh and 1 <= len(tag.split()) <= TAG_WORDS and _plain(tag):
            known |= fresh
            found.append(tag)
    return ", ".join(found[:TAGS]) if len(found) >= FEWEST else ""


def sentences_of(answer: str, words: str) -> str:
    """The answer's whole sentences that tell something new in the present tense, up to three; "" when there is none."""
    known, found = set(content(words)), []
    for sentence in re.findall(r"[^.!?\n]*[.!?]+", after(words, answer)):
        said = sentence.strip(" .!?") + "."
        fresh = set(content(said)) - known
        if len(fresh) >= NEW and len(said.split()) <= LONGEST and _plain(said) and not PAST & set(said.lower().split()):
            known |= fresh
            found.append(said[0].upper() + said[1:])
    return " ".join(found[:SENTENCES])


def after(words: str, answer: str) -> str:
    """The answer without the user's own words in front of it."""
    answer = answer.strip().strip('"“”').strip()
    if answer.lower().startswith(words.lower()):
        return answer[len(words) :].strip()
    return answer


def one_line(answer: str) -> str:
    """The first line that says something, without quotes, bullets, numbers, or a name and a colon in front."""
    for line in answer.splitlines():
        line = re.sub(r"^\s*(?:[-*•]|\d+[.):])\s*", "", line)
        line = re.sub(r"^[A-Z][\w ]{0,24}:\s+(?=\S)", "", " ".join(line.split()))
        line = re.sub(r"[*_#`]", "", line).strip(" \"'“”‘’").strip()
        if WORD.search(line):
            return line
    return ""


def talks(line: str) -> bool:
    """Whether a line is about the task instead of doing it, as in "Here is a slogan", or crude."""
    low = f" {line.lower()} "
    if CRUDE & {word.lower() for word in WORD.findall(line)}:
        return True
    return any(
        sign in low
        for sign in (
            " here is",
            " here's a",
            " slogan",
            " sure,",
            " as an ai",
            " language model",
            " i'm sorry",
            "assistant",
        )
    )


def _plain(text: str) -> bool:
    """English without talk, without one word many times over, and with both of a pair of brackets."""
    said = [word.lower() for word in WORD.findall(text)]
    if not text.isascii() or (TALK | CRUDE) & set(said) or text.count("(") != text.count(")") or '"' in text:
        return False
    triples = list(zip(said, said[1:], said[2:]))
    return len(triples) == len(set(triples))
