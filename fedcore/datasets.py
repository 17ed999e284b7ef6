"""Data sets: a pair of arrays; MNIST and the keyboard words, shipped with the package."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedcore._validate import as_float_array, as_index_array, as_int, describe

DATA = Path(__file__).parent / "data"
IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049
KINDS = {IMAGES_MAGIC: "images", LABELS_MAGIC: "labels"}
PIXELS, CLASSES = 28 * 28, 10
BLOCK = 250  # images converted at a time: memory stays near that of the result
CHUNK = 1 << 15  # compressed bytes read at a time
GZIP = 16 + zlib.MAX_WBITS  # tells zlib to expect gzip's header and to verify its checksum


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Examples with their classes.

    x: (n, features) float32, finite, n >= 1; y: (n,) int64, classes 0 to n_classes - 1; both are
    read-only. float64 and other integers are converted; what needs no conversion is not copied.
    Raises TypeError or ValueError that names the argument.
    """

    x: np.ndarray
    y: np.ndarray
    n_classes: int

    def __post_init__(self):
        n_classes = as_int("n_classes", self.n_classes, minimum=2)
        x = _check_x(self.x)
        y = _check_y(self.y, len(x), n_classes)
        for name, value in (("x", _frozen(x)), ("y", _frozen(y)), ("n_classes", n_classes)):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        n, n_features = self.x.shape
        return f"Dataset({n} examples, {n_features} features, {self.n_classes} classes)"

    @property
    def n_features(self) -> int:
        """Numbers that describe one example: columns of x."""
        return self.x.shape[1]

    def take(self, indices: np.ndarray | Sequence[int] | slice) -> Dataset:
        """The examples at ``indices``: integers (k,), copied, or a slice, which copies nothing."""
        if not isinstance(indices, slice):
            indices = as_index_array("indices", indices, len(self))
        return Dataset(self.x[indices], self.y[indices], self.n_classes)


def load_mnist(folder: str | Path | None = None) -> tuple[Dataset, Dataset]:
    """(train, test): 60,000 and 10,000 digits; x float32 (n, 784) in [0, 1], y int64 (n,).

    Pixel = byte / 255, row by row; 0 is background. ``folder`` holds the four gzipped IDX files
    (default: those shipped with the package; source and licence are in data/README.md).

    Raises FileNotFoundError for a missing file and ValueError for one that is not what its name
    says, each with file, expected and found. Memory: 221 MB for the arrays, about 3 MB more while
    reading.
    """
    folder = DATA if folder is None else Path(folder)
    return _read_split(folder, "train", 60_000), _read_split(folder, "t10k", 10_000)


def _read_split(folder: Path, prefix: str, n: int) -> Dataset:
    y = _read_labels(folder / f"{prefix}-labels-idx1-ubyte.gz", n)
    x = _read_images(folder / f"{prefix}-images-idx3-ubyte.gz", n)
    return Dataset(x, y, CLASSES)


def _read_labels(path: Path, n: int) -> np.ndarray:
    with _IdxFile(path) as file:
        file.expect_header(LABELS_MAGIC, (n,))
        labels = np.frombuffer(file.read(n), dtype=np.uint8)
        file.expect_end()
    if labels.max() >= CLASSES:
        where = int(labels.argmax())
        raise ValueError(f"{path}: expected labels 0 to 9, found {labels[where]} at label {where}")
    return labels.astype(np.int64)


def _read_images(path: Path, n: int) -> np.ndarray:
    with _IdxFile(path) as file:
        file.expect_header(IMAGES_MAGIC, (n, 28, 28))
        x = np.empty((n, PIXELS), dtype=np.float32)
        for start in range(0, n, BLOCK):
            block = x[start : start + BLOCK]
            raw = np.frombuffer(file.read(block.size), dtype=np.uint8)
            np.divide(raw.reshape(block.shape), np.float32(255), out=block)
        file.expect_end()
    return x


class _IdxFile:
    """A gzipped IDX file, read from front to back; every surprise is a ValueError with its name."""

    def __init__(self, path: Path):
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: expected a gzipped IDX file of MNIST, found no such file"
            )
        self.path, self.position = path, 0
        self.file, self.gzip, self.buffer = path.open("rb"), zlib.decompressobj(GZIP), b""

    def __enter__(self) -> _IdxFile:
        return self

    def __exit__(self, *_) -> None:
        self.file.close()

    def expect_header(self, magic: int, shape: tuple[int, ...]) -> None:
        """Read the magic number and the dimensions; raise unless they are the expected ones."""
        (found_magic,) = struct.unpack(">i", self.read(4))
        if found_magic != magic:
            other = KINDS.get(found_magic)
            hint = f" ({other}: are image and label files swapped?)" if other else ""
            raise self._error(f"magic number {magic} ({KINDS[magic]})", f"{found_magic}{hint}")
        found = struct.unpack(f">{len(shape)}i", self.read(4 * len(shape)))
        if found != shape:
            swapped = found[0] != shape[0] and found[0] in (60_000, 10_000)
            hint = " (are training and test files swapped?)" if swapped else ""
            raise self._error(f"dimensions {_by(shape)}", f"{_by(found)}{hint}")

    def read(self, n_bytes: int) -> bytes:
        """The next ``n_bytes`` of content; raise if there are fewer, or if they are damaged."""
        data = self._read_up_to(n_bytes)
        if len(data) < n_bytes:
            wanted, found = self.position + n_bytes, self.position + len(data)
            raise self._error(f"at least {wanted} bytes of content", f"{found}")
        self.position += n_bytes
        return data

    def expect_end(self) -> None:
        """Raise if anything follows; reading past the end also checks gzip's checksum."""
        if self._read_up_to(1):
            raise self._error(f"{self.position} bytes of content", "more")
        if self.gzip.unused_data or self.file.read(1):
            raise self._error("the end of the file after the compressed content", "more bytes")

    def _read_up_to(self, n_bytes: int) -> bytes:
        while len(self.buffer) < n_bytes and not self.gzip.eof:
            compressed = self.file.read(CHUNK)
            if not compressed:
                size = self.path.stat().st_size
                raise self._error("a complete gzip file", f"one cut off after {size} bytes")
            try:
                self.buffer += self.gzip.decompress(compressed)
            except zlib.error as error:
                raise self._error("an undamaged gzip file", f"a damaged one ({error})") from None
        data, self.buffer = self.buffer[:n_bytes], self.buffer[n_bytes:]
        return data

    def _error(self, expected: str, found: str) -> ValueError:
        return ValueError(f"{self.path}: expected {expected}, found {found}")


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _frozen(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def _check_x(x: np.ndarray) -> np.ndarray:
    x = as_float_array("x", x, ndim=2)
    if 0 in x.shape:
        raise ValueError(f"x must hold at least one example and one feature, got shape {x.shape}")
    with np.errstate(over="ignore"):  # float64 too large for float32: reported just below
        x = np.ascontiguousarray(x, dtype=np.float32)
    if not (np.isfinite(x.min()) and np.isfinite(x.max())):  # NaN wins in both: no copy is needed
        row = next(i for i, example in enumerate(x) if not np.isfinite(example).all())
        raise ValueError(f"x must be finite, got NaN or infinity in example {row}")
    return x


def _check_y(y: np.ndarray, n: int, n_classes: int) -> np.ndarray:
    y = np.asarray(y)
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        raise TypeError(f"y must be a one-dimensional array of integers, got {describe(y)}")
    if len(y) != n:
        raise ValueError(f"y must hold {n} labels, one for each row of x, got {len(y)}")
    if y.min() < 0 or y.max() >= n_classes:
        raise ValueError(f"y must hold classes 0 to {n_classes - 1}, got {y.min()} to {y.max()}")
    return np.ascontiguousarray(y, dtype=np.int64)


from fedcore.keyboard import load_keyboard as load_keyboard  # noqa: E402  (it needs Dataset)
