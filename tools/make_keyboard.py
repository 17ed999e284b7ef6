"""Rebuild fedcore/data/keyboard-words.tsv.gz from the word frequencies of wordfreq 3.1.1.

Only for maintainers: `pip install wordfreq==3.1.1`, then run this file from anywhere. The course
itself reads what is stored. The same version gives the same bytes.
"""

from __future__ import annotations

import gzip
import io
import unicodedata
from collections import defaultdict
from pathlib import Path

import wordfreq

LANGUAGES = {
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "de": "German",
    "pl": "Polish",
    "fi": "Finnish",
}
N_WORDS = 4000  # of each language, the most frequent
PER = 10_000_000  # frequencies are stored as occurrences among so many words
LETTERS = set("abcdefghijklmnopqrstuvwxyz")
WHOLE = {"ß": "ss", "ł": "l", "ø": "o", "æ": "ae", "œ": "oe", "đ": "d"}  # no accent to take off
TARGET = Path(__file__).parents[1] / "fedcore" / "data" / "keyboard-words.tsv.gz"


def plain(word: str) -> str:
    """``word`` with base letters for accented ones: 'gżegżółka' -> 'gzegzolka'."""
    word = "".join(WHOLE.get(letter, letter) for letter in word)
    return "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))


def frequent_words(language: str) -> list[tuple[str, int]]:
    """(word, occurrences), most frequent first; words that look alike without accents are one."""
    frequency: dict[str, float] = defaultdict(float)
    for word in wordfreq.iter_wordlist(language, "best"):
        if set(plain(word)) <= LETTERS:
            frequency[plain(word)] += wordfreq.word_frequency(word, language)
        if len(frequency) == 2 * N_WORDS:  # far enough down for the merged ones
            break
    ranked = sorted(frequency.items(), key=lambda item: (-item[1], item[0]))[:N_WORDS]
    return [(word, max(1, round(PER * value))) for word, value in ranked]


def main() -> None:
    """Write the file."""
    text = io.StringIO()
    for code, name in LANGUAGES.items():
        for word, occurrences in frequent_words(code):
            text.write(f"{name}\t{word}\t{occurrences}\n")
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9, mtime=0, filename="") as file:
        file.write(text.getvalue().encode("ascii"))
    TARGET.write_bytes(packed.getvalue())
    print(f"{TARGET.name}: {len(packed.getvalue()):,} bytes, {len(LANGUAGES)} languages")


if __name__ == "__main__":
    main()
