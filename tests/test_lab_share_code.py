"""Share codes: nothing is lost, nothing mistyped is believed, and the reason is said."""

import itertools

import pytest

from fedcore.lab.share_code import SYMBOLS, decode, encode

SIZES = (8, 8, 7, 7, 9, 8, 6, 5, 10_000)
HERE = (3, 7, 0, 6, 8, 1, 5, 4, 9_999)


def test_every_position_comes_back():
    sizes = (2, 3, 4)
    codes = {
        encode(positions, sizes, "a"): list(positions)
        for positions in itertools.product(*map(range, sizes))
    }
    assert len(codes) == 24
    assert all(decode(code, sizes, "a") == positions for code, positions in codes.items())


@pytest.mark.parametrize("positions", [(0,) * 9, tuple(n - 1 for n in SIZES), HERE])
def test_the_ends_of_the_sliders_come_back(positions):
    assert decode(encode(positions, SIZES, "a"), SIZES, "a") == list(positions)


def test_a_code_is_short():
    assert len(encode(HERE, SIZES, "a")) <= 16


def test_how_it_is_typed_does_not_matter():
    code = encode((0, 1) * 4 + (1,), SIZES, "a")
    assert "0" in code
    assert "1" in code
    sloppy = " " + code.lower().replace("-", "  ").replace("0", "o").replace("1", "l") + "\n"
    assert decode(sloppy, SIZES, "a") == decode(code.replace("1", "I"), SIZES, "a")
    assert decode(sloppy, SIZES, "a") == [0, 1] * 4 + [1]


def test_any_one_symbol_mistyped_is_noticed():
    symbols = encode(HERE, SIZES, "a").replace("-", "")
    for i, wrong in itertools.product(range(len(symbols)), SYMBOLS):
        if wrong != symbols[i]:
            with pytest.raises(ValueError, match="typing error"):
                decode(symbols[:i] + wrong + symbols[i + 1 :], SIZES, "a")


def test_any_two_neighbours_exchanged_are_noticed():
    symbols = encode(HERE, SIZES, "a").replace("-", "")
    tried = 0
    for i in range(len(symbols) - 1):
        if symbols[i] != symbols[i + 1]:
            swapped = symbols[:i] + symbols[i + 1] + symbols[i] + symbols[i + 2 :]
            with pytest.raises(ValueError, match="typing error"):
                decode(swapped, SIZES, "a")
            tried += 1
    assert tried > 5


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("", "No code to read"),
        (" - ", "No code to read"),
        ("hello, world", "',' can't be in one"),
        ("ABC", "must have .* letters and digits, got 3"),
        ("A" * 40, "got 40"),
    ],
)
def test_what_is_no_code_is_told_why(code, message):
    with pytest.raises(ValueError, match=message):
        decode(code, SIZES, "a")


def test_the_code_of_another_panel_is_refused():
    with pytest.raises(ValueError, match="from a panel with other sliders"):
        decode(encode(HERE, SIZES, "a"), SIZES, "b")


def test_a_position_off_the_slider_is_refused():
    with pytest.raises(ValueError, match=r"positions\[0\] must be .*8"):
        encode((8, *HERE[1:]), SIZES, "a")
    with pytest.raises(ValueError, match="no slider has"):
        decode(encode((31,), (32,), "a"), (20,), "a")
    with pytest.raises(TypeError, match="code must be a text, got 3"):
        decode(3, SIZES, "a")
