"""Flower for real: SuperLink and SuperNodes as processes, over TLS, and what becomes of them.

The oracle is ``run_federation``. What nodes can do wrong is in test_flower_failures.py.
"""

import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

pytest.importorskip("flwr", reason="Flower is missing; make test installs it (Python 3.11)")

from flower_help import APP, finish, reference, wait_until

import fedcore as fc
from fedcore.flower_guard import marked
from fedcore.flower_keys import make_certificates, make_node_key
from fedcore.flower_processes import HOST, MARK, Loopback, free_port

pytestmark = [pytest.mark.slow(seconds=90), pytest.mark.xdist_group("flower")]

K, FRACTION, STRATEGY = 3, 0.67, "FedAdam"  # two of three are asked in a round
TLS_SAYS = "CERTIFICATE_VERIFY_FAILED"


@pytest.fixture(scope="module")
def loopback():
    """Three SuperNodes with keys, TLS, and a SuperLink that keeps its state on disk."""
    with Loopback(n_nodes=K, tls=True, database=True) as loopback:
        yield loopback
        ours = loopback.processes()
    assert ours
    assert not [p for p in ours if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert not loopback.folder.exists()


def settings(loopback, name, **more):
    """(checkpoint, settings of a run that writes it)."""
    checkpoint = loopback.folder / f"{name}.npz"
    config = {"n-clients": K, "fraction": FRACTION, "strategy": STRATEGY, "checkpoint": checkpoint}
    return checkpoint, {**config, "flags": loopback.folder, "round-timeout": 120.0, **more}


def in_this_process(n_rounds):
    return reference(K, n_rounds, fraction=FRACTION, strategy=fc.strategies.FedAdam())


def assert_same(history, expected):
    np.testing.assert_array_equal(history.params, expected.params)
    assert history.rounds == expected.rounds
    for ours, theirs in zip(history.strategy_state, expected.strategy_state, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.fixture(scope="module")
def refused(loopback):
    """Nodes that must not get in, started before the others are asked: {why: process}."""
    strange = loopback.folder / "strange"
    strange.mkdir()
    wrong_ca = make_certificates(strange, HOST).ca
    make_node_key(strange / "unregistered.key")
    ca, key = loopback.certificates.ca, strange / "unregistered.key"
    with_key = ("--auth-supernode-private-key", key)
    return {
        "no-key": intruder(loopback, "no-key", "--root-certificates", ca),
        "other-key": intruder(loopback, "other-key", "--root-certificates", ca, *with_key),
        "wrong-ca": intruder(loopback, "wrong-ca", "--root-certificates", wrong_ca, *with_key),
        "no-tls": intruder(loopback, "no-tls", "--insecure"),
    }


def intruder(loopback, name, *arguments):
    where = ("--superlink", loopback.address, "--port", str(free_port()), "--max-retries", "1")
    config = ("--node-config", f"partition-id=1 num-partitions={K}")
    return loopback.start("flower-supernode", *arguments, *where, *config, log=name)


def test_same_bits_as_run_federation_after_five_rounds(loopback, refused):
    """Over TLS, two of three clients a round, while strangers knock at the door."""
    checkpoint, config = settings(loopback, "five")
    finish(loopback.start_run(APP, {**config, "n-rounds": 5}), loopback)
    assert_same(fc.History.load(checkpoint), in_this_process(5))
    assert loopback.log("run").count(" is node ") == K  # nobody else has been asked who it is


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no-key", "SuperNode authentication"),
        ("other-key", r"\[code: 2004\] Failed to activate SuperNode"),
        ("wrong-ca", TLS_SAYS),
        ("no-tls", "disconnected without sending a response|connection reset by peer"),
    ],
)
def test_node_without_the_right_key_is_refused(loopback, refused, name, reason):
    assert refused[name].wait(timeout=300) != 0
    assert re.search(reason, loopback.log(name), re.IGNORECASE)


def test_superlink_that_is_killed_costs_no_round(loopback):
    """It is killed in round 2; the one in its place knows the nodes, and the run is resumed."""
    checkpoint, config = settings(loopback, "restart", **{"n-rounds": 3})
    second = [int(k) for k in fc.federation.sample_clients(K, FRACTION, 3, 2)]
    faults = f"{second[0]}:pause:2"
    run = loopback.start_run(APP, {**config, "faults": faults})
    wait_until((loopback.folder / f"pause-{second[0]}-2").exists, "round 2", loopback, run)
    loopback.kill(loopback.superlink)
    (loopback.folder / "go-on").touch()
    loopback.start_superlink()
    finish(run, loopback)
    assert_same(fc.History.load(checkpoint), in_this_process(1))
    finish(loopback.start_run(APP, config), loopback)
    assert_same(fc.History.load(checkpoint), in_this_process(3))
    assert all(node.poll() is None for node in loopback.nodes.values())


PARENT = """
import signal, time
from fedcore.flower_processes import Loopback
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell ignores it
with Loopback(1) as loopback:
    print(loopback.folder, flush=True)
    time.sleep(600)
"""


def test_nothing_is_left_when_the_parent_is_killed():
    """SIGKILL can't be caught, and SIGTERM isn't by default; Ctrl-C unwinds the `with`."""
    ends = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
    command = [sys.executable, "-c", PARENT]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    parents = [subprocess.Popen(command, **pipes) for _ in ends]
    try:
        folders = [Path(parent.stdout.readline().strip()) for parent in parents]
        assert all(len(marked(MARK, str(folder))) >= 2 for folder in folders)
        for parent, end in zip(parents, ends, strict=True):
            parent.send_signal(end)
        gone = [lambda f=f: not marked(MARK, str(f)) and not f.exists() for f in folders]
        wait_until(lambda: all(is_gone() for is_gone in gone), "the end of all that was started")
    finally:
        for parent in parents:
            parent.kill()
            parent.wait()
            parent.stdout.close()
