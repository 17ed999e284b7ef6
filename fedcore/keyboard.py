"""The keyboard: phones that type in different languages, and predict the next letter."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedcore._validate import as_int, describe
from fedcore.datasets import DATA, GZIP, Dataset

WORDS = DATA / "keyboard-words.tsv.gz"
ALPHABET = " abcdefghijklmnopqrstuvwxyz"  # class c is ALPHABET[c]; a space ends a word


@dataclass(frozen=True, eq=False, repr=False)
class Keyboard:
    """Examples "previous letters -> next letter" in several languages.

    train, test: Datasets; x (n, n_letters * 27) float32, the previous letters one-hot, the oldest
    first; y (n,) int64, the next one, as its place in ``ALPHABET``. train_language, test_language:
    (n,) int64, the place in ``languages`` of the language that each example was typed in.
    """

    train: Dataset
    test: Dataset
    train_language: np.ndarray
    test_language: np.ndarray
    languages: tuple[str, ...]
    n_letters: int

    def __repr__(self) -> str:
        return (
            f"Keyboard({len(self.languages)} languages, {self.n_letters} letters of context, "
            f"{len(self.train)} training and {len(self.test)} test examples)"
        )

    def test_in(self, language: str) -> Dataset:
        """The test examples in one language."""
        if language not in self.languages:
            raise ValueError(f"language must be one of {self.languages}, got {describe(language)}")
        rows = np.flatnonzero(self.test_language == self.languages.index(language))
        return self.test.take(rows)

    def encode(self, text: str) -> np.ndarray:
        """The last ``n_letters`` of ``text`` one-hot: (1, n_letters * 27), padded with spaces."""
        if not isinstance(text, str) or not set(text) <= set(ALPHABET):
            raise ValueError(f"text must hold small letters a to z and spaces, got {text!r}")
        return _one_hot(_places(text.rjust(self.n_letters))[None, -self.n_letters :])


def load_words(path: str | Path | None = None) -> dict[str, tuple[list[str], np.ndarray]]:
    """{language: (words, occurrences (n_words,) int64)}, most frequent first.

    Six languages, 4,000 words each, without accents; occurrences among ten million words. Source
    and licence (CC BY-SA 4.0) are in data/README.md. ``path``: another file like the shipped one.
    Raises FileNotFoundError, or ValueError if it is not what it should be.
    """
    path = WORDS if path is None else Path(path)
    found: dict[str, tuple[list[str], list[int]]] = {}
    try:
        for line in zlib.decompress(path.read_bytes(), GZIP).decode("ascii").splitlines():
            language, word, occurrences = line.split("\t")
            words, counts = found.setdefault(language, ([], []))
            words.append(word)
            counts.append(int(occurrences))
    except (zlib.error, ValueError) as error:
        raise ValueError(
            f"{path}: expected gzipped lines 'language, word, occurrences', found something else "
            f"({error})"
        ) from error
    return {name: (words, np.array(counts)) for name, (words, counts) in found.items()}


def load_keyboard(
    n_letters: int = 3, n_words: int = 2000, n_test_words: int = 500, seed: int = 0
) -> Keyboard:
    """What phones type: words drawn by their frequency, and the next letter to be predicted.

    In each language ``n_words`` words for training and ``n_test_words`` for testing are drawn, with
    replacement, so frequent words come often, in both. They are typed one after the other with a
    space between; every letter and space is one example, its features the ``n_letters`` before it.
    The order of the words means nothing here: only spelling can be learned.

    Memory: about 0.6 kB an example with three letters.
    """
    n_letters = as_int("n_letters", n_letters, minimum=1)
    amounts = [
        as_int("n_words", n_words, minimum=1),
        as_int("n_test_words", n_test_words, minimum=1),
    ]
    seed, words = as_int("seed", seed, minimum=0), load_words()
    halves = []
    for half, amount in enumerate(amounts):
        contexts, targets, languages = [], [], []
        for place, (vocabulary, occurrences) in enumerate(words.values()):
            rng = np.random.default_rng([seed, half, place])
            chosen = rng.choice(len(vocabulary), size=amount, p=occurrences / occurrences.sum())
            x, y = _examples(" ".join(vocabulary[i] for i in chosen) + " ", n_letters)
            contexts.append(x)
            targets.append(y)
            languages.append(np.full(len(y), place))
        data = Dataset(_one_hot(np.concatenate(contexts)), np.concatenate(targets), len(ALPHABET))
        halves.append((data, np.concatenate(languages)))
    (train, train_language), (test, test_language) = halves
    return Keyboard(train, test, train_language, test_language, tuple(words), n_letters)


def _places(text: str) -> np.ndarray:
    """Each character's place in ALPHABET, (len(text),) int64."""
    return np.array([ALPHABET.index(letter) for letter in text], dtype=np.int64)


def _examples(text: str, n_letters: int) -> tuple[np.ndarray, np.ndarray]:
    """(places of the n_letters before each character (n, n_letters), its own place (n,))."""
    places = _places(" " * n_letters + text)
    windows = np.lib.stride_tricks.sliding_window_view(places, n_letters + 1)
    return windows[:, :-1], windows[:, -1].copy()


def _one_hot(contexts: np.ndarray) -> np.ndarray:
    """(n, n_letters) places -> (n, n_letters * 27) float32."""
    n, n_letters = contexts.shape
    x = np.zeros((n, n_letters, len(ALPHABET)), dtype=np.float32)
    np.put_along_axis(x, contexts[:, :, None], 1, axis=2)
    return x.reshape(n, -1)
