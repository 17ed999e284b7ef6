"""The glossary: look a term up inside any lesson, ``lab.glossary("FedAvg")``.

Its text stands in ``glossary.json``, which also makes the notebook ``notebooks/glossary.ipynb``:

    {"setup": [lines that every preview may count on],
     "lessons": {notebook: title, for those there are},
     "terms": [{"term": ..., "also": [other names], "lesson": notebook where it is taught,
                "definition": one sentence, "code": [lines of a preview that runs]}],
     "sources": [the papers that definitions name]}
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from html import escape
from pathlib import Path

from fedcore._validate import describe
from fedcore.lab.style import html_block, plain, rich

FILE = Path(__file__).parent / "glossary.json"
SURE = 0.8  # from this similarity on a misspelt term is taken to be the nearest one
LIKE = 0.6  # from this one on it is suggested


@dataclass(frozen=True)
class Entry:
    """One term: ``definition`` in a sentence, ``code`` of a preview, ``lesson`` (notebook)."""

    term: str
    also: tuple[str, ...]
    lesson: str
    definition: str
    code: str


@dataclass(frozen=True)
class Answer:
    """What a look-up found: entries, a note if it had to guess, suggestions if it found nothing."""

    asked: str
    entries: tuple[Entry, ...] = ()
    note: str = ""
    suggestions: tuple[str, ...] = ()

    def __repr__(self) -> str:
        if not self.entries:
            return f"{self.note} {self._suggested()}".strip()
        texts = [
            f"{e.term}: {plain(e.definition)} ({taught_in(e.lesson)})\n    "
            + e.code.replace("\n", "\n    ")
            for e in self.entries
        ]
        return "\n".join([*([self.note] if self.note else []), *texts])

    def _repr_html_(self) -> str:
        note = f'<p class="fc-soft fc-note">{escape(self.note)}</p>' if self.note else ""
        if not self.entries:
            body = f"{note}<p>{escape(self._suggested())}</p>"
            return html_block(f'<div class="fc-box">{body}</div>')
        boxes = "".join(_box(entry) for entry in self.entries)
        return html_block(note + boxes)

    def _suggested(self) -> str:
        if not self.suggestions:
            return 'lab.glossary() lists all terms; for example lab.glossary("FedAvg").'
        return f"Did you mean {' or '.join(self.suggestions)}?"


@dataclass(frozen=True)
class Contents:
    """All terms, by the lesson that teaches them."""

    by_lesson: dict[str, tuple[str, ...]]

    def __repr__(self) -> str:
        rows = [f"{taught_in(k)}: {', '.join(terms)}" for k, terms in self.by_lesson.items()]
        return "\n".join(rows)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<p><b>{_link(lesson)}</b><br>{escape(' · '.join(terms))}</p>"
            for lesson, terms in self.by_lesson.items()
        )
        return html_block(f'<div class="fc-box">{rows}</div>')


def glossary(term: str | None = None) -> Answer | Contents:
    """Look up ``term``: definition, a preview of code, and the lesson that teaches it.

    Upper and lower case, blanks, hyphens, plurals and small misspellings don't matter, and other
    names find the same entry ("C" finds "fraction"). A term with several meanings shows them all;
    one that is not there gets suggestions. Without a term, all of them by lesson.

    Raises TypeError if ``term`` is not a text.
    """
    if term is None:
        return Contents(
            {
                lesson: tuple(e.term for e in entries() if e.lesson == lesson)
                for lesson in sorted({e.lesson for e in entries()})
            }
        )
    if not isinstance(term, str):
        raise TypeError(f"term must be a text, got {describe(term)}")
    exact = _exact(term)
    if exact:
        return Answer(term, exact)
    best = _nearest(term)
    if best and best[0][0] >= SURE:
        entry = best[0][1]
        return Answer(
            term, (entry,), note=f"{term!r} is not in the glossary; nearest: {entry.term}."
        )
    near = _unique(entry.term for _, entry in best)
    return Answer(term, note=f"{term!r} is not in the glossary.", suggestions=tuple(near[:3]))


@cache
def source() -> dict:
    """The contents of ``glossary.json``."""
    return json.loads(FILE.read_text(encoding="utf-8"))


@cache
def entries() -> tuple[Entry, ...]:
    """All entries, in alphabetical order."""
    found = [
        Entry(t["term"], tuple(t["also"]), t["lesson"], t["definition"], "\n".join(t["code"]))
        for t in source()["terms"]
    ]
    return tuple(sorted(found, key=lambda entry: entry.term.lower()))


def taught_in(lesson: str) -> str:
    """'Lesson 2 · Federated averaging', or 'Lesson 6' if it is not there yet."""
    title = source()["lessons"].get(lesson)
    return f"Lesson {int(lesson[:2])} · {title}" if title else f"Lesson {int(lesson[:2])}"


def ascii_text(term: str) -> str:
    """``term`` without accents and what else ASCII lacks: 'Rényi' -> 'Renyi'."""
    return unicodedata.normalize("NFKD", term).encode("ascii", "ignore").decode()


def _box(entry: Entry) -> str:
    also = f'<p class="fc-soft">also: {escape(", ".join(entry.also))}</p>' if entry.also else ""
    return (
        f'<div class="fc-box"><p><b>{escape(entry.term)}</b></p><p>{rich(entry.definition)}</p>'
        f'<pre class="fc-code">{escape(entry.code)}</pre>{also}'
        f'<p class="fc-soft">Taught in {_link(entry.lesson)}. The preview runs in '
        f"{_anchor('glossary', 'the glossary')}.</p></div>"
    )


def _link(lesson: str) -> str:
    return _anchor(lesson, taught_in(lesson))


def _anchor(notebook: str, text: str) -> str:
    """A link from the notebook that is running, if the other one lies where it should."""
    for folder in ("", "../notebooks/", "../../notebooks/", "notebooks/"):
        target = f"{folder}{notebook}.ipynb"
        if Path(target).is_file():
            return f'<a href="{escape(target)}">{escape(text)}</a>'
    return escape(text)


def _key(term: str) -> str:
    """Letters and digits in lower case, without accents: 'Non-IID' -> 'noniid'."""
    return re.sub(r"[\W_]+", "", ascii_text(term).lower())


def _exact(term: str) -> tuple[Entry, ...]:
    """Entries with this name; case only matters where it tells two names apart (E, e)."""
    for matches in (
        lambda name: name == term.strip(),
        lambda name: bool(_key(term)) and _key(name) == _key(term),
        lambda name: len(_key(term)) > 3 and _key(name).rstrip("s") == _key(term).rstrip("s"),
    ):
        found = [e for e in entries() if any(matches(name) for name in (e.term, *e.also))]
        if found:
            return tuple(found)
    return ()


def _nearest(term: str) -> list[tuple[float, Entry]]:
    """(similarity, entry) of those that are at all alike, best first."""
    scored = [
        (max(_similar(_key(term), _key(name)) for name in (e.term, *e.also)), e) for e in entries()
    ]
    return sorted((pair for pair in scored if pair[0] >= LIKE), key=lambda pair: -pair[0])


def _similar(asked: str, name: str) -> float:
    if len(asked) > 3 and asked in name:
        return 0.75  # part of a longer name: worth suggesting, not worth assuming
    return SequenceMatcher(None, asked, name).ratio()


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
