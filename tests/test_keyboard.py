"""The keyboard: words as shipped, examples as typed, and a language that can be learned."""

import gzip

import numpy as np
import pytest

import fedcore as fc
from fedcore.keyboard import ALPHABET, WORDS, load_keyboard, load_words


@pytest.fixture(scope="module")
def keyboard():
    return load_keyboard(n_words=300, n_test_words=100)


def test_words_as_shipped():
    words = load_words()
    assert list(words) == ["English", "Spanish", "French", "German", "Polish", "Finnish"]
    assert WORDS.stat().st_size < 500_000
    for vocabulary, occurrences in words.values():
        assert len(vocabulary) == len(set(vocabulary)) == 4000
        assert (np.diff(occurrences) <= 0).all()
        assert occurrences.min() >= 1
        assert occurrences.sum() < 10_000_000
        assert all(word and set(word) <= set(ALPHABET[1:]) for word in vocabulary)
    assert {"the", "and", "of"} < set(words["English"][0][:10])
    assert {"der", "die", "und"} < set(words["German"][0][:10])
    assert "gzegzolka" not in words["Polish"][0]
    assert "zeby" in words["Polish"][0]  # żeby


def test_examples_are_what_was_typed(keyboard):
    """Read the letters back from the one-hot features: context, then letter."""
    for data, language in (
        (keyboard.train, keyboard.train_language),
        (keyboard.test, keyboard.test_language),
    ):
        x = data.x.reshape(len(data), 3, 27)
        assert (x.sum(axis=2) == 1).all()
        contexts = x.argmax(axis=2)
        for place, name in enumerate(keyboard.languages):
            rows = np.flatnonzero(language == place)
            typed = "".join(ALPHABET[c] for c in data.y[rows])
            assert typed.endswith(" ")
            assert set(typed.split()) <= set(load_words()[name][0])
            padded = "   " + typed
            read = ["".join(ALPHABET[c] for c in context) for context in contexts[rows]]
            assert read == [padded[i : i + 3] for i in range(len(typed))]
    n_words = [(keyboard.train.y[keyboard.train_language == p] == 0).sum() for p in range(6)]
    assert n_words == [300] * 6


def test_frequent_words_come_often():
    keyboard = load_keyboard(n_letters=1, n_words=20_000, n_test_words=1, seed=4)
    typed = "".join(ALPHABET[c] for c in keyboard.train.y[keyboard.train_language == 0]).split()
    words, occurrences = load_words()["English"]
    for word, n in zip(words[:5], occurrences[:5], strict=True):
        assert typed.count(word) / 20_000 == pytest.approx(n / occurrences.sum(), rel=0.1)


def test_seed_decides(keyboard):
    again, other = (load_keyboard(n_words=300, n_test_words=100, seed=s) for s in (0, 1))
    np.testing.assert_array_equal(again.train.x, keyboard.train.x)
    np.testing.assert_array_equal(again.test.y, keyboard.test.y)
    assert again.train.y.tolist() != other.train.y.tolist()
    assert keyboard.train.y[:200].tolist() != keyboard.test.y[:200].tolist()


def test_encode_and_test_in(keyboard):
    row = keyboard.encode("federation").reshape(3, 27)
    assert [ALPHABET[c] for c in row.argmax(axis=1)] == list("ion")
    assert [ALPHABET[c] for c in keyboard.encode("a").reshape(3, 27).argmax(axis=1)] == list("  a")
    total = sum(len(keyboard.test_in(name)) for name in keyboard.languages)
    assert total == len(keyboard.test)
    with pytest.raises(ValueError, match=r"language must be one of .*got 'Latin'"):
        keyboard.test_in("Latin")
    for bad in ("É", "ab1", 3):
        with pytest.raises(ValueError, match="text must hold small letters"):
            keyboard.encode(bad)
    assert repr(keyboard).startswith("Keyboard(6 languages, 3 letters of context, ")


def test_spelling_can_be_learned_on_the_same_core(keyboard):
    parts = fc.partition.by_group(keyboard.train_language, 12)
    model = fc.models.Softmax(81, 27)
    history = fc.run_federation(
        model, keyboard.train, parts, keyboard.test, n_rounds=20, fraction=1, progress=False,
        local=fc.LocalSGD(1, 10, 0.3),
    )  # fmt: skip
    most_frequent = np.bincount(keyboard.test.y).max() / len(keyboard.test)
    assert history.accuracy[-1] > most_frequent + 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_letters": 0}, "n_letters must be at least 1, got 0"),
        ({"n_words": 0}, "n_words must be at least 1, got 0"),
        ({"n_test_words": -1}, "n_test_words must be at least 1, got -1"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_keyboard(**arguments)


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b"English\tthe\n"), gzip.compress(b"a\tb\tmany\n")],
    ids=["no gzip", "a field missing", "no number"],  # gzip writes the time: no name of a test
)
def test_broken_file(tmp_path, content):
    path = tmp_path / "words.tsv.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"words.tsv.gz: expected gzipped lines"):
        load_words(path)
    with pytest.raises(FileNotFoundError):
        load_words(tmp_path / "none.gz")
