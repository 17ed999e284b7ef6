"""fedcore against its peers and against the machine, on this machine: ``make bench``.

Writes results.md, results.png and results.json (pyperf's format) beside this file. Peers that are
not installed are named in the table. ``--only training`` runs one part, ``--quick`` everything in
tiny sizes (to try the programs, not the machine), ``--out FOLDER`` writes elsewhere.
"""

import argparse
import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before NumPy is imported: one thread each

import json
import resource
from pathlib import Path

import cases
import peers
import report
from interleave import as_suite, machine

import fedcore as fc

PARTS = ("training", "averaging", "threads", "federation", "scale")


def run(part, quick):
    """One part's measurements, and what describes the run."""
    absent = peers.missing()
    print(f"{part} ...", flush=True)
    results = globals()[f"run_{part}"](absent, quick)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return results | {
        "absent": absent,
        "machine": machine(),
        "info": fc.info(),
        "peak_mb": used / 1024,
    }


def run_training(absent, quick):
    sizes = {"n": 30, "epochs": 1, "rounds": 1} if quick else {}
    counted = cases.flops(sizes.get("n", 600), sizes.get("epochs", 5))
    return {"training": cases.training(absent, **sizes), "peak": cases.peak(), "flops": counted}


def run_averaging(absent, quick):
    sizes = {"shapes": [(3, 1000)], "rounds": 1} if quick else {}
    error = cases.average_error(3, 1000) if quick else cases.average_error()
    return {"averaging": cases.averaging(absent, **sizes), "average_error": error}


def run_threads(absent, quick):
    return {"threads": cases.threads(2, 1) if quick else cases.threads()}


def run_federation(absent, quick):
    sizes = {"n_rounds": 1, "n_clients": 1000, "fraction": 0.002, "flower_rounds": 1}
    return {
        "federation": {
            epochs: cases.federation(absent, epochs, **(sizes if quick else {}))
            for epochs in ((1,) if quick else (1, 5))
        }
    }


def run_scale(absent, quick):
    sizes = {"registered": (100, 1000), "sampled": (1, 2), "rounds": 1} if quick else {}
    return {"scale": cases.scale(**sizes)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent)
    options = parser.parse_args()
    stored = options.out / "measurements.json"
    results = json.loads(stored.read_text()) if options.only and stored.exists() else {}
    for part in options.only or PARTS:  # written after each: an interrupt loses one part at most
        loads = results.get("loads", {}) | {part: machine()["load_avg_1min"]}
        results |= run(part, options.quick) | {"loads": loads}
        stored.write_text(json.dumps(results, indent=1) + "\n")
        (options.out / "results.md").write_text(report.markdown(results))
    report.figure(results).savefig(options.out / "results.png", dpi=110)
    suite = {**(results.get("training") or {}), **(results.get("averaging") or {})}
    if suite:
        as_suite(suite).dump(str(options.out / "results.json"), replace=True)
    print((options.out / "results.md").read_text())


if __name__ == "__main__":
    main()
