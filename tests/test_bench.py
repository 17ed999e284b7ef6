"""The benchmark's programs, in tiny sizes: that they run, and that the peers do the same work."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

import fedcore as fc
from fedcore.training import epoch_orders

pytest.importorskip("pyperf")


@pytest.fixture
def peers(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import peers

    return peers


def work(mnist, model):
    train, _ = mnist
    order = epoch_orders(60, 2, seed=0)
    ours = fc.local_sgd(model, model.init(), train.x[:60], train.y[:60], epochs=2, lr=0.1)
    return ours, (model, model.init(), train.x[:60], train.y[:60], order, 10, 0.1)


@pytest.mark.parametrize("model", [fc.models.Softmax(784, 10), fc.models.MLP(784, 20, 15, 10)])
def test_the_numpy_peer_trains_the_same_model(peers, model, mnist):
    ours, arguments = work(mnist, model)
    np.testing.assert_allclose(peers.numpy_sgd(*arguments), ours, atol=1e-5)


def test_the_torch_peer_trains_the_same_model(peers, mnist):
    pytest.importorskip("torch")
    model = fc.models.MLP(784, 20, 15, 10)
    ours, arguments = work(mnist, model)
    np.testing.assert_allclose(peers.Torch(model).sgd(*arguments), ours, atol=1e-5)


def test_averages_agree(peers, rng):
    updates = [rng.standard_normal(50, dtype=np.float32) for _ in range(4)]
    weights = np.array([1, 2, 3, 4])
    ours = fc.weighted_average(updates, weights)
    np.testing.assert_allclose(peers.numpy_average(updates, weights), ours, atol=1e-6)


def test_missing_peers_are_named(peers, monkeypatch):
    def refuse(name):
        raise ImportError(f"no module {name}")

    monkeypatch.setattr(peers.importlib, "import_module", refuse)
    absent = peers.missing()
    assert set(absent) == {"PyTorch", "Flower", "Flower, simulation"}
    assert "no module torch" in absent["PyTorch"]
    assert "pip install" in absent["Flower"]


@pytest.mark.slow(seconds=5)
def test_those_compared_learn_the_same_in_a_federation(peers):
    import federation_run

    names = ["fedcore", "NumPy"]
    runs = [federation_run.run(name, 2, 1, 100, 0.03, 0.1) for name in names]
    accuracies = [result["accuracy"] for result in runs]
    assert min(accuracies) > 0.7
    assert abs(accuracies[0] - accuracies[1]) < 0.03
    for result in runs:
        assert len(result["walls"]) == 2
        assert 0 < result["evaluation"] < sum(result["walls"])
        assert result["peak_mb"] > 200  # MNIST alone takes 220 MB


def test_targets_are_judged_from_the_measurements(peers):
    import limits

    case = {"fedcore": {"cpu": 1.0}, "NumPy": {"cpu": 7.0}, "PyTorch": {"cpu": 21.0}}
    table = limits.targets({"training": {"softmax, MNIST": case}})
    assert "| softmax, MNIST: NumPy over fedcore | at least 8 | 7.00 | **no** |" in table
    assert "| softmax, MNIST: PyTorch over fedcore | at least 20 | 21.00 | yes |" in table
    runs = {"fedcore": {"wall": 1.0}, "Flower": {"wall": 25.0}}
    table = limits.targets({"federation": {1: runs}})
    assert "| federation, E = 1: Flower over fedcore | at least 20 | 25.00 | yes |" in table


@pytest.mark.slow(seconds=10)
def test_a_quick_run_writes_table_and_plot(tmp_path):
    parts = [f"--only={part}" for part in ("training", "averaging", "threads", "scale")]
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "bench.py", "--quick", "--out", tmp_path, *parts],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "results.md").read_text()
    assert "| softmax, MNIST | fedcore |" in table
    assert "| average, 3 x 1,000 | NumPy |" in table
    assert "cpu_count" in table
    assert "## A whole federation\n\nNot run." in table
    for peer in ("PyTorch", "Flower"):
        assert f"| {peer} |" in table or f"**Missing: {peer}**" in table
    assert (tmp_path / "results.png").stat().st_size > 1000
