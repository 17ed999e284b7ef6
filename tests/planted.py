"""The planted answers to the exercises: ``tests/answers/NAME.py``, read, never imported."""

import re
from pathlib import Path

FOLDER = Path(__file__).parent / "answers"
HEAD = re.compile(r'^# %% (wrong|right) (\w+)(?: loses (\S+) says "(.*)")?\n', re.M)


def planted(name):
    """[(kind, answer, {checks it loses}, what it is told, code)] of an exercise."""
    text = (FOLDER / f"{name}.py").read_text("utf-8")
    heads = list(HEAD.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return [
        (h[1], h[2], set((h[3] or "").split(",")) - {""}, h[4] or "", text[h.end() : end])
        for h, end in zip(heads, ends, strict=True)
    ]
