"""Plain data between the grader and the process that runs an answer: numbers, texts, lists, arrays.

A frame is two lengths of 8 bytes, a JSON header, and the bytes of the arrays that it names. Nothing
is pickled: whatever the other side sends, reading it can only give plain data or ``ValueError``.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

import numpy as np

MAX_BYTES = 64_000_000  # of a frame
_LENGTHS = struct.Struct("<QQ")
_KINDS = "biuf"  # booleans, integers, floats
_MARK = "~"  # {"~": "array", ...}: what JSON has no word for


class Helper(str):
    """Source of a small function that a hidden test passes to an answer; the last name counts."""


class Model(tuple):
    """Layer sizes of a ``fedcore.models.MLP``: the other side builds the model from them."""


def write(stream: BinaryIO, value: Any) -> None:
    """Send ``value``; TypeError that names a type which is not plain data."""
    arrays: list[np.ndarray] = []
    header = json.dumps(_encode(value, arrays)).encode()
    body = b"".join(array.tobytes() for array in arrays)
    if len(header) + len(body) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES // 10**6} MB of data")
    stream.write(_LENGTHS.pack(len(header), len(body)) + header + body)
    stream.flush()


def read(stream: BinaryIO) -> Any:
    """The next value; EOFError if the other side has gone, ValueError if it is no frame."""
    n_header, n_body = _LENGTHS.unpack(_exactly(stream, _LENGTHS.size))
    if n_header + n_body > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES // 10**6} MB of data")
    header, body = _exactly(stream, n_header), _exactly(stream, n_body)
    try:
        value, used = _decode(json.loads(header), body, 0)
    except (RecursionError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"not plain data: {error!r}") from None
    if used != len(body):
        raise ValueError("not plain data: bytes are left over")
    return value


def _exactly(stream: BinaryIO, n: int) -> bytes:
    data = stream.read(n)
    if len(data) < n:
        raise EOFError("the other side has gone")
    return data


def _encode(value: Any, arrays: list[np.ndarray]) -> Any:
    """``value`` for JSON. Subclasses of numbers are reduced to the number that they hold."""
    if value is None or value is True or value is False:
        return value
    if isinstance(value, Helper):
        return {_MARK: "helper", "source": str(value)}
    if isinstance(value, Model):
        return {_MARK: "model", "sizes": list(value)}
    if isinstance(value, np.generic):
        return _encode(value.item(), arrays)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, np.ndarray):
        array = np.array(value, order="C", subok=False)
        if array.dtype.kind not in _KINDS:
            raise TypeError(f"an array of dtype {array.dtype}")
        arrays.append(array.astype(array.dtype.newbyteorder("<")))
        return {_MARK: "array", "dtype": array.dtype.str[1:], "shape": list(array.shape)}
    if isinstance(value, list | tuple | range):
        return [_encode(item, arrays) for item in value]
    if isinstance(value, dict):
        pairs = [[_encode(k, arrays), _encode(v, arrays)] for k, v in value.items()]
        return {_MARK: "dict", "pairs": pairs}
    raise TypeError(f"an object of type {type(value).__name__}")


def _decode(value: Any, body: bytes, at: int) -> tuple[Any, int]:
    if isinstance(value, list):
        items = []
        for item in value:
            decoded, at = _decode(item, body, at)
            items.append(decoded)
        return items, at
    if not isinstance(value, dict):
        return value, at
    if value[_MARK] == "array":
        return _decode_array(value, body, at)
    if value[_MARK] == "dict":
        pairs, at = _decode(value["pairs"], body, at)
        return {tuple(k) if isinstance(k, list) else k: v for k, v in pairs}, at
    if value[_MARK] == "helper":
        return Helper(value["source"]), at
    if value[_MARK] == "model":
        return Model(value["sizes"]), at
    raise ValueError(f"not plain data: {value[_MARK]!r}")


def _decode_array(value: dict[str, Any], body: bytes, at: int) -> tuple[np.ndarray, int]:
    dtype, shape = np.dtype("<" + str(value["dtype"])), tuple(int(n) for n in value["shape"])
    if dtype.kind not in _KINDS or any(n < 0 for n in shape) or len(shape) > 32:
        raise ValueError(f"not plain data: an array of dtype {dtype}, shape {shape}")
    count = 1
    for n in shape:
        count *= n
    end = at + count * dtype.itemsize
    if end > len(body):
        raise ValueError("not plain data: an array is cut short")
    array = np.frombuffer(body, dtype, count=count, offset=at).reshape(shape).copy()
    return array.astype(dtype.newbyteorder("=")), end
