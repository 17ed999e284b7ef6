"""Turns measurements into ``results.md`` and ``results.png``."""

from __future__ import annotations

import matplotlib

matplotlib.use("agg")
from fedcore import plots

ms = "{:,.2f}".format


def markdown(results: dict) -> str:
    """The whole report; parts that were not run are named as such."""
    parts = ["# Benchmarks\n", _machine(results), _absent(results["absent"])]
    for title, key, writer in (
        ("Local SGD", "training", _training),
        ("Weighted average", "averaging", _averaging),
        ("Threads", "threads", _threads),
        ("A whole federation", "federation", _federation),
        ("Scale", "scale", _scale),
    ):
        parts.append(f"## {title}\n")
        parts.append(writer(results) if results.get(key) else "Not run.\n")
    return "\n".join(parts)


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def _machine(results):
    info = results["machine"] | {f"fedcore {k}": v for k, v in results["info"].items()}
    return (
        "Written by `make bench`. Times differ from machine to machine and from hour to hour; the "
        "ratios, measured in turns in one run, much less.\n\n"
        + table(["what", "value"], [[k, str(v)] for k, v in info.items()])
    )


def _absent(absent):
    if not absent:
        return "All peers took part.\n"
    return "\n".join(f"**Missing: {peer}** ({why})." for peer, why in absent.items()) + "\n"


def _peers(results, base="fedcore"):
    """Rows of one case: peer, CPU ms, wall ms, times the base's CPU time."""
    return [
        [
            name,
            ms(1e3 * r["cpu"]),
            ms(1e3 * r["wall"]),
            f"{r['cpu'] / results[base]['cpu']:.2f}",
        ]
        for name, r in results.items()
    ]


def _training(results):
    rows = [[case, *row] for case, peers in results["training"].items() for row in _peers(peers)]
    text = (
        "600 examples, batches of 10, 5 epochs, float32, one thread. Medians of CPU time.\n\n"
        + table(["work", "by", "CPU ms", "wall ms", "times fedcore"], rows)
    )
    if "peak" in results:
        dense = results["training"]["2NN, dense input"]["fedcore"]["cpu"]
        rate = 1e-9 * results["flops"] / dense
        text += (
            f"\nThe dense 2NN runs at {rate:.0f} GFLOP/s, {rate / results['peak']:.0%} of the "
            f"{results['peak']:.0f} GFLOP/s that NumPy's float32 matrix product (1024 x 1024, one "
            "thread) reaches here.\n"
        )
    return text


def _averaging(results):
    rows = []
    for case, peers in results["averaging"].items():
        floor = peers["plain read"]["cpu"]
        rows += [[case, *row, f"{peers[row[0]]['cpu'] / floor:.2f}"] for row in _peers(peers)]
    return (
        "float32, one thread; a plain read is one dot product of each update with itself.\n\n"
        + table(["work", "by", "CPU ms", "wall ms", "times fedcore", "times a plain read"], rows)
        + f"\nLargest error against a float64 sum, relative to the sum of the terms' sizes: "
        f"{results['average_error']:.1e}.\n"
    )


def _threads(results):
    rows = [
        [
            name,
            f"{r['all']:.2f}",
            "none" if r["free"] is None else f"{r['free']:.2f}",
            f"{r['rounds free']} of {r['rounds']}",
            f"{r['probe']:.2f}",
        ]
        for name, r in results["threads"].items()
    ]
    return (
        "`local_sgd_many`, 40 clients of 600 digits, E = 1: wall time on one thread over two. "
        "Before and after each round a probe (matrix products that fit in the cache, on one thread "
        "and on two) says what two cores give just now; rounds below 1.9 are set apart.\n\n"
        + table(["model", "all rounds", "both cores free", "rounds", "median probe"], rows)
    )


def _federation(results):
    rows = []
    for epochs, runs in results["federation"].items():
        base = runs["fedcore"]["wall"]
        for name, r in runs.items():
            cpu = "of several processes" if r["cpu"] is None else ms(1e3 * r["cpu"])
            measured = [str(r["rounds"]), ms(1e3 * r["wall"]), cpu, f"{r['wall'] / base:.1f}"]
            rows.append([f"E = {epochs}", name, *measured, f"{r['accuracy']:.3f}"])
    shares = ", ".join(
        f"{runs['fedcore']['evaluation']:.0%} at E = {epochs}"
        for epochs, runs in results["federation"].items()
    )
    header = ["local work", "by", "rounds", "wall ms a round", "CPU ms a round"]
    return (
        "FedAvg, 2NN, 100 clients (IID), C = 0.1, B = 10; all 10,000 test images each round. "
        "fedcore uses all cores, the loops one thread, Flower's engine one worker a core.\n\n"
        + table([*header, "times fedcore's wall", "accuracy"], rows)
        + f"\nEvaluation takes {shares} of fedcore's time. Peak memory of this process: "
        f"{results['peak_mb']:.0f} MB.\n"
    )


def _scale(results):
    scale = results["scale"]
    return (
        table(
            ["registered clients (10 sampled, 2 examples each)", "ms a round"],
            [[f"{int(n):,}", ms(1e3 * s)] for n, s in scale["registered"].items()],
        )
        + "\n"
        + table(
            ["sampled clients (of 100, softmax, 600 digits each)", "ms a round, one thread"],
            [[str(m), ms(1e3 * s)] for m, s in scale["sampled"].items()],
        )
        + "\n"
        + table(
            ["partition of 60,000 examples over 10,000 clients", "seconds"],
            [[name, f"{s:.3f}"] for name, s in scale["partition"].items()],
        )
    )


def figure(results: dict):
    """Bars of what was run: times the CPU time of fedcore, on a logarithmic axis."""
    from matplotlib.figure import Figure

    bars = [
        (f"{case}: {peer}", r["cpu"] / peers["fedcore"]["cpu"], peer)
        for key in ("training", "averaging")
        for case, peers in (results.get(key) or {}).items()
        for peer, r in peers.items()
    ]
    names = sorted({peer for _, _, peer in bars})
    colours = dict(zip(names, list(plots.PALETTE) * 3, strict=False))
    drawing = Figure(figsize=(8, 0.3 * len(bars) + 1.2), layout="constrained")
    axes = drawing.subplots()
    axes.barh(
        [label for label, _, _ in bars],
        [value for _, value, _ in bars],
        color=[colours[peer] for _, _, peer in bars],
    )
    for i, (_, value, _) in enumerate(bars):
        axes.annotate(f" {value:.1f}", (value, i), va="center", fontsize=8)
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.axvline(1, color="0.4", lw=1)
    axes.set_xlabel("CPU time, times that of fedcore (logarithmic)")
    return drawing
