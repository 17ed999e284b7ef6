"""Record lesson 7's federation in a real run: ``.venv/bin/python tools/record_federation.py``.

Needs Flower (``make .venv/.flower``) and some three minutes. Writes
``fedcore/data/flower-run.json.gz``, which the lesson shows where Flower is not installed.
"""

import time

import flwr

from fedcore import flower_saved
from fedcore.flower_live import RealFederation

N_NODES, KILLED = 3, 2
STEPS = [(2, None, 120.0), (3, KILLED, 45.0)]  # (rounds in all, node to kill, round's timeout)


def main():
    begun, steps = time.perf_counter(), []
    with RealFederation(N_NODES) as real:
        for n_rounds, kill, timeout in STEPS:
            history = real.run(n_rounds, kill, timeout)
            packed = flower_saved.pack_history(history)
            marks = {str(k): mark for k, mark in real.marks[-1].items()}
            step = {"n_rounds": n_rounds, "kill": kill, "history": packed, "marks": marks}
            steps.append(step)
            if kill is None:
                processes = real.processes()
        traffic = flower_saved.pack_traffic(real.traffic(len(STEPS)))
    record = {"flwr": flwr.__version__, "n_nodes": N_NODES, "processes": processes}
    record |= {"seconds": time.perf_counter() - begun, "lines": real.lines, "steps": steps}
    flower_saved.save({**record, "traffic": traffic, "tls": encrypted()})


def encrypted():
    """One round under TLS: its History, and what crossed."""
    with RealFederation(N_NODES, tls=True) as real:
        history = flower_saved.pack_history(real.run(1))
        return {"history": history, "traffic": flower_saved.pack_traffic(real.traffic())}


if __name__ == "__main__":
    main()
