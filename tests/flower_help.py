"""What the tests of real processes share: the small app, waiting, and the oracle."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import fedcore as fc

APP = Path(__file__).with_name("flower_small")
sys.path.insert(0, str(APP))
import small  # noqa: E402

PATIENCE = 300  # seconds; this machine may have other things to do


class OnlyThose:
    """A strategy that counts, in round t, only the clients ``survivors[t - 1]``."""

    vectors = 1

    def __init__(self, strategy, survivors):
        self.strategy, self.survivors, self.t = strategy, survivors, 0

    def init(self, params, n_clients):
        return self.strategy.init(params)

    def local_terms(self, state, clients):
        return fc.strategy_api.LocalTerms()

    def aggregate(self, state, params, updates, weights, work):
        counted = np.isin(work.clients, self.survivors[self.t])
        self.t += 1
        return self.strategy.aggregate(state, params, updates[counted], weights[counted])


def reference(n_clients, n_rounds, **more):
    """What ``run_federation`` makes of the small app."""
    data, parts = small.everything(n_clients)
    settings = {"fraction": 1.0, "local": small.LOCAL, "seed": small.SEED, **more}
    return fc.run_federation(small.MODEL, data, parts, data, n_rounds=n_rounds, **settings)


def wait_until(true, what, loopback=None, run=None):
    """Until ``true()``; an AssertionError with the logs if it does not come, or ``run`` ends."""
    end = time.monotonic() + PATIENCE
    while not true():
        ended = run is not None and run.poll() is not None
        if ended or time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what}\n{logs(loopback)}")
        time.sleep(0.1)


def finish(run, loopback):
    """Wait for the end of ``flwr run``."""
    try:
        run.wait(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"the run does not end\n{logs(loopback)}") from None


def logs(loopback):
    if loopback is None:
        return ""
    return "\n".join(
        f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}"
        for path in sorted(loopback.folder.glob("*.log"))
    )
