"""The shipped MNIST, and every way in which a file can be something else than its name says."""

import gzip
import hashlib
import re
import struct
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from fedcore import datasets
from fedcore.datasets import DATA, Dataset, load_mnist

N = 7  # size of the made-up splits below
IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


def image_bytes(n=N):
    pixels = np.random.default_rng(3).integers(0, 256, n * 784, dtype=np.uint8)
    return struct.pack(">4i", 2051, n, 28, 28) + pixels.tobytes()


def label_bytes(n=N, labels=None):
    labels = [i % 10 for i in range(n)] if labels is None else labels
    return struct.pack(">2i", 2049, n) + bytes(labels)


@pytest.fixture
def folder(tmp_path):
    """A folder with a good, tiny training split."""
    (tmp_path / IMAGES).write_bytes(gzip.compress(image_bytes()))
    (tmp_path / LABELS).write_bytes(gzip.compress(label_bytes()))
    return tmp_path


def read(folder):
    return datasets._read_split(folder, "train", N)


def test_files_and_their_content_are_the_published_ones():
    """README.md beside the data lists the sums; the ones of the content are the well-known ones."""
    readme = (DATA / "README.md").read_text()
    sums = dict(re.findall(r"\| ([\w.-]+) \| \d+ \| ([0-9a-f]{64}) \|", readme))
    names = {path.name for path in DATA.glob("*.gz")} - {"flower-run.json.gz"}  # our own record
    assert set(sums) == names | {name.removesuffix(".gz") for name in names}
    assert len(names) == 5
    for name in names:
        packed = (DATA / name).read_bytes()
        assert hashlib.sha256(packed).hexdigest() == sums[name]
        content = gzip.decompress(packed)
        assert hashlib.sha256(content).hexdigest() == sums[name.removesuffix(".gz")]


def test_mnist_is_mnist(mnist):
    train, test = mnist
    assert (train.x.shape, test.x.shape) == ((60_000, 784), (10_000, 784))
    for data in mnist:
        assert (data.x.dtype, data.y.dtype, data.n_classes) == (np.float32, np.int64, 10)
        assert (data.x.min(), data.x.max()) == (0, 1)
        assert data.x.flags.c_contiguous
        assert not data.x.flags.writeable
        assert not data.y.flags.writeable
    assert train.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test.y[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(train.y).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    raw = np.frombuffer(
        gzip.decompress((DATA / "t10k-images-idx3-ubyte.gz").read_bytes())[16:], "u1"
    )
    np.testing.assert_array_equal(test.x.ravel(), raw.astype(np.float32) / np.float32(255))


def test_loading_is_quick():
    """The best of five, since a busy machine slows some of them."""
    seconds = []
    while len(seconds) < 5 and min(seconds, default=1) >= 1:
        start = time.process_time()
        load_mnist()
        seconds.append(time.process_time() - start)
    assert min(seconds) < 1


def test_loading_allocates_little_more_than_the_result():
    tracemalloc.start()
    try:
        train, test = load_mnist()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    result = sum(array.nbytes for data in (train, test) for array in (data.x, data.y))
    assert result < peak < result + 4e6 < 225e6


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_loading_in_a_fresh_process_stays_below_250_mb():
    """As the operating system counts: by how much loading lifts the peak of the process."""
    program = (
        "import re; from pathlib import Path; from fedcore.datasets import load_mnist\n"
        "status = Path('/proc/self/status').read_text\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+) kB', status())[1])\n"
        "before = peak(); data = load_mnist(); print(peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert 100e6 < int(done.stdout) * 1024 < 250e6


def test_tiny_split_is_read_exactly(folder):
    data = read(folder)
    pixels = np.frombuffer(image_bytes()[16:], np.uint8).reshape(N, 784)
    np.testing.assert_array_equal(data.x, pixels.astype(np.float32) / np.float32(255))
    assert data.y.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_images_are_read_in_blocks(folder, monkeypatch):
    whole = read(folder).x
    for block in (1, 3, N, 100):
        monkeypatch.setattr(datasets, "BLOCK", block)
        monkeypatch.setattr(datasets, "CHUNK", 50 * block)
        np.testing.assert_array_equal(read(folder).x, whole)


def flipped(content, place):
    return content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]


PACKED = gzip.compress(image_bytes())
BAD_FILES = {
    "images in place of labels": (LABELS, gzip.compress(image_bytes()), "swapped"),
    "labels in place of images": (IMAGES, gzip.compress(label_bytes()), "2051 .*found 2049.*swapp"),
    "another magic number": (
        IMAGES,
        gzip.compress(b"\0\0\x0d\x03" + image_bytes()[4:]),
        "found 3331",
    ),
    "test images for training": (
        IMAGES,
        gzip.compress(struct.pack(">4i", 2051, 10_000, 28, 28)),
        "7 x 28 x 28, found 10000 x 28 x 28 .*training and test files swapped",
    ),
    "one image too few": (
        IMAGES,
        gzip.compress(image_bytes(N - 1)),
        "7 x 28 x 28, found 6 x 28 x 28$",
    ),
    "one label too few": (LABELS, gzip.compress(label_bytes(N - 1)), "dimensions 7, found 6$"),
    "another image size": (
        IMAGES,
        gzip.compress(struct.pack(">4i", 2051, N, 32, 32) + bytes(N * 1024)),
        "7 x 28 x 28, found 7 x 32 x 32",
    ),
    "content ends early": (
        IMAGES,
        gzip.compress(image_bytes()[:-1]),
        f"at least {16 + N * 784} bytes of content, found {15 + N * 784}",
    ),
    "content ends in the header": (
        LABELS,
        gzip.compress(label_bytes()[:6]),
        "at least 8 .*found 6",
    ),
    "content goes on": (
        IMAGES,
        gzip.compress(image_bytes() + b"x"),
        "5504 bytes of content, found more",
    ),
    "labels go on": (
        LABELS,
        gzip.compress(label_bytes() + b"x"),
        "15 bytes of content, found more",
    ),
    "file cut off": (
        IMAGES,
        PACKED[: len(PACKED) // 2],
        "complete gzip file, found one cut off after",
    ),
    "checksum cut off": (IMAGES, PACKED[:-5], "complete gzip file, found one cut off after"),
    "rubbish after the end": (IMAGES, PACKED + b"rubbish", "end of the file .*found more bytes"),
    "a byte flipped": (IMAGES, flipped(PACKED, len(PACKED) // 2), "undamaged gzip file|cut off"),
    "checksum flipped": (IMAGES, flipped(PACKED, len(PACKED) - 8), "undamaged gzip file, .*check"),
    "not compressed": (IMAGES, image_bytes(), "undamaged gzip file"),
    "empty file": (LABELS, b"", "complete gzip file, found one cut off after 0 bytes"),
    "a label of 10": (
        LABELS,
        gzip.compress(label_bytes(N, [0, 1, 2, 10, 4, 5, 6])),
        "10 at label 3",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file(folder, case):
    name, content, message = BAD_FILES[case]
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read(folder)
    assert str(folder / name) in str(caught.value)
    assert "expected" in str(caught.value)


@pytest.mark.parametrize("name", [IMAGES, LABELS])
def test_missing_file(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name}: expected .* found no such file"):
        read(folder)


def test_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.*found no such file"):
        load_mnist(tmp_path / "nowhere")


def test_real_train_and_test_files_swapped(tmp_path):
    for here, there in (("train", "t10k"), ("t10k", "train")):
        for kind in ("images-idx3", "labels-idx1"):
            (tmp_path / f"{here}-{kind}-ubyte.gz").symlink_to(DATA / f"{there}-{kind}-ubyte.gz")
    with pytest.raises(
        ValueError, match=r"60000, found 10000 \(are training and test files swapped"
    ):
        load_mnist(tmp_path)


def test_dataset_take_and_length(rng):
    data = Dataset(rng.random((6, 3), dtype=np.float32), np.array([0, 1, 2, 0, 1, 2]), 3)
    assert len(data) == 6
    assert data.n_features == 3
    assert repr(data) == "Dataset(6 examples, 3 features, 3 classes)"
    some = data.take([4, 0, 4])
    np.testing.assert_array_equal(some.x, data.x[[4, 0, 4]])
    assert some.y.tolist() == [1, 0, 1]
    first = data.take(slice(2))
    assert first.y.tolist() == [0, 1]
    assert np.shares_memory(first.x, data.x)
    with pytest.raises(ValueError, match="indices must hold indices from 0 to 5, got 6"):
        data.take([6])


def test_dataset_keeps_good_arrays_and_guards_them(rng):
    x, y = rng.random((4, 2), dtype=np.float32), np.arange(4)
    data = Dataset(x, y, 4)
    assert np.shares_memory(data.x, x)
    with pytest.raises(ValueError, match="read-only"):
        data.x[0, 0] = 1
    x[0, 0] = 2  # the caller's own array stays as it was
    converted = Dataset(x.astype(np.float64)[:, ::-1], y.astype(np.uint8), 4)
    assert (converted.x.dtype, converted.y.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(converted.x, x[:, ::-1])


X, Y = np.ones((3, 2), np.float32), np.array([0, 1, 2])


@pytest.mark.parametrize(
    ("x", "y", "n_classes", "error", "message"),
    [
        ([[1.0]], Y, 3, TypeError, "x must be a NumPy array"),
        (X.astype(int), Y, 3, TypeError, "x must have dtype float32 or float64"),
        (X[0], Y, 3, ValueError, "x must have 2 dimension"),
        (X[:0], Y[:0], 3, ValueError, r"x must hold at least one example.*\(0, 2\)"),
        (X[:, :0], Y, 3, ValueError, r"at least one example and one feature.*\(3, 0\)"),
        (X * [[1], [np.nan], [1]], Y, 3, ValueError, "x must be finite.*example 1"),
        (X * [[1], [1], [-np.inf]], Y, 3, ValueError, "x must be finite.*example 2"),
        (X.astype(float) * 1e300, Y, 3, ValueError, "x must be finite.*example 0"),
        (X, Y[:2], 3, ValueError, "y must hold 3 labels, one for each row of x, got 2"),
        (X, Y.astype(float), 3, TypeError, "y must be a one-dimensional array of integers"),
        (X, Y[:, None], 3, TypeError, "y must be a one-dimensional"),
        (X, Y, 2, ValueError, "y must hold classes 0 to 1, got 0 to 2"),
        (X, Y - 1, 3, ValueError, "y must hold classes 0 to 2, got -1 to 1"),
        (X, Y, 1, ValueError, "n_classes must be at least 2, got 1"),
        (X, Y, 3.0, TypeError, "n_classes must be an integer, got 3.0"),
    ],
)
def test_bad_dataset(x, y, n_classes, error, message):
    with pytest.raises(error, match=message):
        Dataset(x, y, n_classes)
