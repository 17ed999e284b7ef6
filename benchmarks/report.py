"""Turns measurements into ``results.md`` and ``results.png``."""

from __future__ import annotations

import limits
import matplotlib

matplotlib.use("agg")
from fedcore import plots

ms = "{:,.2f}".format


def markdown(results: dict) -> str:
    """The whole report; parts that were not run are named as such."""
    parts = ["# Benchmarks\n", _machine(results), _absent(results["absent"])]
    parts += ["![Ratios, and the cost of a round by the number of clients](results.png)\n"]
    for title, key, writer in (
        ("Local SGD", "training", _training),
        ("Weighted average", "averaging", _averaging),
        ("Threads", "threads", _threads),
        ("A whole federation", "federation", _federation),
        ("Scale", "scale", _scale),
    ):
        parts.append(f"## {title}\n")
        parts.append(writer(results) if results.get(key) else "Not run.\n")
    parts += ["## Targets, and what stops us\n", limits.targets(results), limits.TEXT]
    return "\n".join(parts)


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def _machine(results):
    info = results["machine"] | {f"fedcore {k}": v for k, v in results["info"].items()}
    info |= {f"load before {part}": load for part, load in results.get("loads", {}).items()}
    info.pop("load_avg_1min", None)
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
        "600 examples, batches of 10, 5 epochs, float32, one thread. Medians of 15 turns of at "
        "least 50 ms each, as many calls as fit; CPU time a call.\n\n"
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
        "float32, one thread, medians of 7 turns of at least 50 ms; a plain read is one dot "
        "product of each update with itself.\n\n"
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
        "`local_sgd_many`, 100 clients of 600 digits, E = 1: wall time on one thread over two. "
        "Before and after each round a probe (matrix products that fit in the cache, on one thread "
        "and on two) says what two cores give just now; rounds below 1.9 are set apart.\n\n"
        + table(["model", "all rounds", "both cores free", "rounds", "median probe"], rows)
    )


def _federation(results):
    rows = []
    for epochs, runs in results["federation"].items():
        for name, r in runs.items():
            rows.append(
                [
                    f"E = {epochs}",
                    name,
                    str(r["rounds"]),
                    ms(1e3 * r["wall"]),
                    f"{r['wall'] / runs['fedcore']['wall']:.1f}",
                    "not counted" if r["cpu"] is None else ms(1e3 * r["cpu"]),
                    "not counted" if r["evaluation"] is None else ms(1e3 * r["evaluation"]),
                    f"{r['accuracy']:.3f}",
                    f"{r['peak_mb']:.0f}",
                ]
            )
    header = ["local work", "by", "rounds", "wall ms a round", "times fedcore", "CPU ms a round"]
    return (
        "FedAvg, 2NN, 100 clients (IID), C = 0.1, B = 10, learning rate 0.1; all 10,000 test "
        "images each round. Medians over the rounds, so that start-up (Flower's workers load "
        "PyTorch and MNIST in the first round) does not count. fedcore uses all cores, the loops "
        "one thread, Flower's engine one worker a core with PyTorch in it. Each ran in a process "
        "of its own, one after the other; peak memory is that of the process, for Flower the sum "
        "over its processes, read once a second, with shared pages counted once. MNIST takes "
        "220 MB of each process.\n\n"
        + table([*header, "of it evaluation, wall ms", "accuracy", "peak MB"], rows)
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
    """Left, times the CPU time of fedcore, logarithmic; right, the cost of a round by clients."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(12, 8), layout="constrained")
    grid = drawing.add_gridspec(2, 2, width_ratios=(3, 2))
    _ratios(drawing.add_subplot(grid[:, 0]), results)
    scale = results.get("scale")
    for row, key, label in (
        (0, "registered", "registered clients, 10 of them sampled"),
        (1, "sampled", "sampled clients, of 100"),
    ):
        axes = drawing.add_subplot(grid[row, 1])
        if scale:
            _curve(axes, {int(n): 1e3 * seconds for n, seconds in scale[key].items()})
        axes.set_xlabel(label)
        axes.set_ylabel("wall time of a round, ms")
        if key == "registered":
            axes.set_xscale("log")
    return drawing


def _ratios(axes, results):
    bars = [
        (f"{case}: {peer}", r["cpu"] / peers["fedcore"]["cpu"], peer)
        for key in ("training", "averaging")
        for case, peers in (results.get(key) or {}).items()
        for peer, r in peers.items()
    ]
    names = sorted({peer for _, _, peer in bars})
    colours = dict(zip(names, list(plots.PALETTE) * 3, strict=False))
    axes.barh(
        [label for label, _, _ in bars],
        [value for _, value, _ in bars],
        color=[colours[peer] for _, _, peer in bars],
    )
    for i, (_, value, _) in enumerate(bars):
        axes.annotate(f" {value:.1f}", (value, i), va="center", fontsize=8)
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.margins(x=0.1, y=0.01)
    axes.axvline(1, color="0.4", lw=1)
    axes.set_xlabel("CPU time, times that of fedcore (logarithmic)")


def _curve(axes, milliseconds):
    """Points joined; the axis starts at 0, so that flat looks flat and linear goes to 0."""
    axes.plot(list(milliseconds), list(milliseconds.values()), "o-", color=plots.PALETTE[0])
    axes.set_ylim(0, 1.25 * max(milliseconds.values()))
