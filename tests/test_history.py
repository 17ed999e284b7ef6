"""What a History tells about its rounds, and that a file keeps all of it."""

from dataclasses import replace

import numpy as np
import pytest

from fedcore.history import History, RoundRecord


@pytest.fixture
def history():
    """Accuracy 0.1 at first, then 0.5, 0.4, 0.8: made by hand."""
    accuracies, clients = (0.5, 0.4, 0.8), ((0, 2), (2, 3), (0, 2))
    rounds = [
        RoundRecord(
            round=t, clients=ids, n_examples=(10 * t, 30), weights=(0.25, 0.75),
            update_norms=(1.5, 0.1), loss=1 / t, accuracy=accuracy, bytes_down=100 * t,
            bytes_up=200 * t, seconds_train=0.5, seconds_aggregate=0.25, seconds_evaluate=0.125,
        )
        for t, (ids, accuracy) in enumerate(zip(clients, accuracies, strict=True), start=1)
    ]  # fmt: skip
    return History(rounds, np.array([1, 2.5], np.float32), 7, (1, 2), 5, 2.3, 0.1)


def test_history_columns(history):
    assert history.round.tolist() == [1, 2, 3]
    assert history.accuracy.tolist() == [0.5, 0.4, 0.8]
    assert history.loss.tolist() == [1, 1 / 2, 1 / 3]
    assert history.bytes_down.tolist() == [100, 200, 300]
    assert history.bytes_up.tolist() == [200, 400, 600]
    assert history.seconds.tolist() == [0.875] * 3
    assert history.bytes_up.dtype == np.int64
    assert len(history) == 3
    assert repr(history) == "History(3 rounds, 5 clients, accuracy 0.100 -> 0.800)"


def test_rounds_to(history):
    assert history.rounds_to(0.05) == 0
    assert history.rounds_to(0.1) == 0
    assert history.rounds_to(0.3) == 1
    assert history.rounds_to(0.5) == 1
    assert history.rounds_to(0.6) == 3
    assert history.rounds_to(0.81) is None
    assert history.rounds_to(0.3, interpolated=True) == pytest.approx(0.5)
    assert history.rounds_to(0.6, interpolated=True) == pytest.approx(
        2 + 1 / 3
    )  # from 0.5, not 0.4
    assert history.rounds_to(0.8, interpolated=True) == 3
    assert history.rounds_to(0.05, interpolated=True) == 0
    assert history.rounds_to(0.9, interpolated=True) is None
    with pytest.raises(ValueError, match=r"target must be a finite number in \[0, 1\], got 90"):
        history.rounds_to(90)


def test_participation_and_rows(history):
    assert history.participation() == {0: 2, 1: 0, 2: 3, 3: 1, 4: 0}
    rows = history.to_rows()
    assert len(rows) == 3
    assert rows[1] == {
        "round": 2, "clients": 2, "examples": 50, "accuracy": 0.4, "loss": 0.5, "bytes_down": 200,
        "bytes_up": 400, "seconds_train": 0.5, "seconds_aggregate": 0.25,
        "seconds_evaluate": 0.125, "seconds": 0.875,
    }  # fmt: skip


def test_table_shows_first_last_and_total(history):
    html = history._repr_html_()
    assert html.count("<tr>") == 1 + 1 + 3 + 1  # heads, round 0, three rounds, total
    assert "0.8000" in html
    total = html.split("<tfoot>")[1]
    assert "2.62" in total or "2.63" in total  # 3 * 0.875 s
    many = replace(history, rounds=[replace(history.rounds[0], round=t) for t in range(1, 101)])
    html = many._repr_html_()
    assert html.count("<tr>") == 1 + 1 + 3 + 1 + 4 + 1
    assert "..." in html
    assert "<td>100</td>" in html
    assert "interrupted" not in html
    assert "interrupted" in replace(history, interrupted=True)._repr_html_()


def assert_same(a, b):
    for name in ("rounds", "seed", "model_sizes", "n_clients", "initial_loss", "initial_accuracy",
                 "interrupted"):  # fmt: skip
        assert getattr(a, name) == getattr(b, name), name
    np.testing.assert_array_equal(a.params, b.params)
    assert a.params.dtype == b.params.dtype


@pytest.mark.parametrize("state", [(), None, (np.arange(3), np.eye(2, dtype=np.float32))])
def test_save_and_load(history, tmp_path, state):
    history = replace(history, strategy_state=state, interrupted=True)
    path = history.save(tmp_path / "run")  # the name stays as it is
    assert path == tmp_path / "run"
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    loaded = History.load(str(path))
    assert_same(loaded, history)
    assert loaded.seconds.tolist() == history.seconds.tolist()
    assert type(loaded.strategy_state) is type(state)
    for a, b in zip(loaded.strategy_state or (), state or (), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


def test_saving_never_leaves_half_a_file(history, tmp_path, monkeypatch):
    path = history.save(tmp_path / "run.npz")
    good = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="no space"):
        history.save(path)
    assert path.read_bytes() == good
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("state", [{"velocity": 1}, (1, 2), [np.ones(2)], (np.array([{}]),)])
def test_state_that_cannot_be_saved(history, tmp_path, state):
    with pytest.raises(TypeError, match="strategy_state must be None or a tuple of arrays"):
        replace(history, strategy_state=state).save(tmp_path / "run.npz")
    assert list(tmp_path.iterdir()) == []


def test_loading_another_format(history, tmp_path, monkeypatch):
    monkeypatch.setattr("fedcore.history.FORMAT", "fedcore history 2")
    path = history.save(tmp_path / "later.npz")
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"later.npz: expected a history saved by History.save"):
        History.load(path)


def test_loading_something_else(tmp_path):
    with pytest.raises(FileNotFoundError):
        History.load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", params=np.ones(3))
    np.savez(tmp_path / "pickle.npz", about=np.array([{}], dtype=object))
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").write_text("")
    for name in ("other", "pickle", "text", "empty"):
        with pytest.raises(ValueError, match=rf"{name}.npz: expected a history saved by"):
            History.load(tmp_path / f"{name}.npz")
