"""Flower for real: SuperLink and SuperNodes as processes on loopback, and what happens to them.

Runs where Flower is installed (``make test-flower``); the oracle is ``run_federation``.
"""

import time

import numpy as np
import psutil
import pytest

pytest.importorskip("flwr", reason="Flower is not installed; make test-flower installs it")

import fedcore as fc
from fedcore.flower_processes import APP, Loopback
from fedcore.history import History

pytestmark = [pytest.mark.slow(seconds=90), pytest.mark.xdist_group("flower")]

# The app of these tests: a small task, and clients that misbehave when the run's settings say so.
PROGRAM = '''
import time
from pathlib import Path
import numpy as np
from flwr.app import Array, ArrayRecord, Message, RecordDict
import fedcore as fc
from fedcore.flower import FlowerRun, client_app, server_app

MODEL = fc.models.MLP(64, 8, 5)
K = 4

def everything():
    rng = np.random.default_rng(5)
    x = rng.random((120, 64), dtype=np.float32)
    data = fc.datasets.Dataset(x, rng.integers(0, 5, 120), 5)
    return data, np.split(np.arange(120), [20, 45, 80])

def load(context):
    data, parts = everything()
    k = int(context.node_config["partition-id"])
    return k, data.x[parts[k]], data.y[parts[k]]

def misbehave(message, context, call_next):
    """A mod of Flower: `client:fault:round`, one after the other."""
    reply = call_next(message, context)
    k, t = str(context.node_config["partition-id"]), message.metadata.group_id
    for fault in str(context.run_config["faults"]).split():
        client, kind, when = fault.split(":")
        if client != k or when != t:
            continue
        if kind == "hang":  # between training and sending
            Path(context.run_config["flag"]).touch()
            time.sleep(600)
        update = reply.content["arrays"]["update"].numpy().copy()
        if kind == "nan":
            update[7] = np.nan
        bad = {"nan": update, "shape": update[:-1], "dtype": update.astype(np.float64)}[kind]
        content = RecordDict({"arrays": ArrayRecord({"update": Array(bad)})})
        return Message(content, reply_to=message)
    return reply

def configure(context):
    config = context.run_config
    return FlowerRun(
        MODEL, everything()[0], K, int(config["n-rounds"]), fraction=0.75,
        local=fc.LocalSGD(2, 7, 0.1), strategy=fc.strategies.FedAdam(), seed=3,
        round_timeout=float(config["round-timeout"]), checkpoint=str(config["checkpoint"]),
    )

client = client_app(MODEL, load, mods=[misbehave])
server = server_app(configure)
'''


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The folder of the app, and its module, from which the oracle takes model and data."""
    folder = tmp_path_factory.mktemp("small-app")
    (folder / "small.py").write_text(PROGRAM)
    text = (APP / "pyproject.toml").read_text().replace("mnist_federation:", "small:")
    (folder / "pyproject.toml").write_text(f'{text}faults = ""\nflag = ""\n')
    module = {}
    exec(compile(PROGRAM, "small.py", "exec"), module)
    return folder, module


@pytest.fixture(scope="module")
def loopback():
    with Loopback(n_nodes=4) as loopback:
        yield loopback
        ours = loopback.processes()
    assert not [p for p in ours if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert not loopback.folder.exists()


def expected(module, n_rounds):
    data, parts = module["everything"]()
    return fc.run_federation(
        module["MODEL"],
        data,
        parts,
        data,
        n_rounds=n_rounds,
        fraction=0.75,
        local=fc.LocalSGD(2, 7, 0.1),
        strategy=fc.strategies.FedAdam(),
        seed=3,
    )


def wait_until(true, what, seconds=300):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what} has not happened in {seconds} s"
        time.sleep(0.1)


def settings(loopback, name, **more):
    checkpoint = loopback.folder / f"{name}.npz"
    return checkpoint, {"n-rounds": 5, "checkpoint": checkpoint, **more}


def test_killed_node_and_nonsense_are_left_out(app, loopback):
    """Of the three clients asked in round 1 one sends NaN, and one is killed while it works."""
    folder, module = app
    asked = fc.federation.sample_clients(4, 0.75, 3, 1).tolist()
    flag = loopback.folder / "hangs"
    faults = f"{asked[0]}:nan:1 {asked[1]}:hang:1"
    checkpoint, config = settings(loopback, "faults", faults=faults, flag=flag)
    run = loopback.start_run(folder, {**config, "n-rounds": 1, "round-timeout": 45.0})
    wait_until(flag.exists, "training")
    loopback.kill(loopback.nodes[asked[1]])
    run.wait()
    (record,) = History.load(checkpoint).rounds
    assert record.clients == (asked[2],)
    assert np.isfinite(History.load(checkpoint).params).all()
    log = loopback.log("run")
    assert f"client {asked[0]} is left out: 1 numbers are NaN" in log
    assert "has not answered within 45 s: left out" in log
    assert record.update_norms == (expected(module, 1).rounds[0].update_norms[2],)
