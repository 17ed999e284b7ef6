"""A short string that stands for where every slider is, to be read aloud, typed or pasted.

Letters and digits are Crockford's base 32: no I, L, O, U, and whatever is typed for them is read as
the digit that it looks like. Case, spaces and hyphens don't count.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from fedcore._validate import as_int, describe

SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LOOKS_LIKE = str.maketrans("OIL", "011")
PRIME = 1021  # below 32 ** 2: any one symbol wrong, or two neighbours exchanged, changes the rest


def encode(positions: Sequence[int], sizes: Sequence[int], scheme: str) -> str:
    """The code of ``positions``, each in [0, size), for example 'D7-3K0Z-9QW1-4M'.

    scheme: a text that tells what the positions mean. A panel with another scheme refuses the code.
    """
    body = 0
    for i, (position, size) in enumerate(zip(positions, sizes, strict=True)):
        body = body * size + as_int(f"positions[{i}]", position, minimum=0, maximum=size - 1)
    symbols = _symbols(body, _n_symbols(sizes)) + _mark(scheme)
    symbols += _symbols(_value(symbols) % PRIME, 2)
    return "-".join(symbols[i : i + 4] for i in range(0, len(symbols), 4))


def decode(code: str, sizes: Sequence[int], scheme: str) -> list[int]:
    """The positions that ``encode`` was given.

    Raises ValueError with a message for a learner: too short or long, a symbol that no code has, a
    typing error, or the code of another panel.
    """
    if not isinstance(code, str):
        raise TypeError(f"code must be a text, got {describe(code)}")
    symbols = "".join(code.split()).replace("-", "").upper().translate(LOOKS_LIKE)
    if not symbols:
        raise ValueError("No code to read: paste one first.")
    unknown = next((c for c in symbols if c not in SYMBOLS), None)
    if unknown is not None:
        raise ValueError(f"This is not a share code: {unknown!r} can't be in one.")
    wanted = _n_symbols(sizes) + 4
    if len(symbols) != wanted:
        raise ValueError(
            f"This is not a whole code: it must have {wanted} letters and digits, got "
            f"{len(symbols)}."
        )
    if _value(symbols[:-2]) % PRIME != _value(symbols[-2:]):
        raise ValueError("There is a typing error in this code: its check letters don't fit.")
    if symbols[-4:-2] != _mark(scheme):
        raise ValueError("This code is from a panel with other sliders, settings or data.")
    body, positions = _value(symbols[:-4]), []
    for size in reversed(sizes):
        body, position = divmod(body, size)
        positions.append(position)
    if body:
        raise ValueError("This code names a position that no slider has.")
    return positions[::-1]


def _mark(scheme: str) -> str:
    return _symbols(crc32(scheme.encode()) % 1024, 2)


def _n_symbols(sizes: Sequence[int]) -> int:
    """How many symbols hold the largest body."""
    largest, n = 1, 0
    for size in sizes:
        largest *= size
    while 32**n < largest:
        n += 1
    return n


def _symbols(value: int, n: int) -> str:
    return "".join(SYMBOLS[value // 32**i % 32] for i in reversed(range(n)))


def _value(symbols: str) -> int:
    value = 0
    for symbol in symbols:
        value = 32 * value + SYMBOLS.index(symbol)
    return value
