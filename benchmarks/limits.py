"""The targets set for the compiled core, what was reached, and what stops it short of them."""

from __future__ import annotations

TEXT = """\
What stops us was looked into by hand, on the machine whose results are kept here (two cores,
AVX-512), with `perf record` and with kernels run on data that fit in the cache. CPU times.

**Softmax.** A visit to an example takes about 0.33 microseconds: 146 of its 784 pixels are not 0,
and each costs one row read and added (forward) and one read, added to and written (backward): 292
row operations of 1.1 nanoseconds. The limit is the instructions of a row (place, value, load,
multiply-add, store), not memory and not arithmetic: a row is one vector of 16 floats, of which the
10 classes fill 10. Called once after something else has used the caches, the same work takes 1.5
ms instead of 1.0, since it then starts by fetching its data.

**2NN against NumPy, MNIST.** The profile: `add_rows` (forward) 30 % of the kernel's time,
`add_to_rows` (update) 27 %, `dots` (errors sent back) 17 %, `add_rows_pair` 12 %, the rest 14 %.
A batch of 10 touches 48 % of the first layer's rows, since its examples share few pixels: each
row that is brought from the second cache is then used by 4 examples of 10, where a dense product
uses it by all 10. Sparsity saves four fifths of the first layer's arithmetic but only half of its
traffic, and the 800 kB of weights do not fit in the first cache: a row of 208 floats takes 4.3
nanoseconds to add in the first cache and 7.3 in place, 8.2 and 10 to update, where the stores
bind. Tried without gain, each in turns with what is kept: the examples of a row gathered first, so
that it is written once a batch (what is gained is spent on gathering, by counting, in buckets, or
ordered by the number of examples); four dot products added up together (1 %); asking early for
the rows that follow; other sizes of block, the same for all layers or smaller for hidden ones;
rows of 12 floats; large pages. On dense input, where NumPy and we move the same rows, the rate is
stated under Local SGD, as part of what sgemm reaches.

**Average of 10 updates of 10 million.** The parts, in ms, the least of 15 turns: a plain read 13.5;
first touch of the 40 MB of output, which the system hands out as zeroed pages, 4.6; writing them
1.6. A loop whose arithmetic cost nothing would so stand at 1.46 times the read. Ours, with its
output already in memory, takes 26.5: each float is converted to float64 before it is added, which
keeps the error at 3e-8; 10 updates make one group of eight and one of four that is half empty; and
the running total is cleared and rounded once in 10 rows, where 1000 updates do so once in 1000.
Reading and adding add up rather than overlap. Tried: to ask early for the first rows of the next
strip, no gain; the check that all is finite in the rounding loop, 1 to 2 ms.

**Threads.** The probe says how much two threads give of plain multiplication that shares nothing;
rounds in which it gives at least 1.9 are called free, and only they speak for the core. Four more
runs of softmax, 40 rounds each without the probe, gave 1.69 to 1.89: a client's work is 0.45 ms
there, and what keeps one of the two waiting weighs more, the start of the second thread, Python's
lock while epoch orders are drawn (3 ms of 50 in all), the tail when one has finished. The kernels
alone, called on two threads with orders drawn before, take 1.96 to 1.99 times less than on one.

**A whole federation against Flower.** A straight line through Flower's two medians puts
1.33 s of a round on the engine, whatever E is, and 0.15 s on an epoch. The more local work, the
more the comparison is with PyTorch on two cores and the less with the engine. Medians leave its
first round out, in which workers start (8 s); with it, the mean of its 5 rounds is 32 times our
median at E = 5. In two undisturbed runs the ratio of medians there was 19.6 and 19.7. It ran 5
rounds instead of 20, since they are slow; its accuracy is that of round 5.

**Evaluation.** All 10,000 test images, and the norms of the updates, take 13 to 15 ms a round on
both cores: 38 % of our round at E = 1, 13 % at E = 5.
"""


def targets(results: dict) -> str:
    """Table: target, reached, met or not. Only of what was measured."""
    rows = []
    for name, target, reached, higher in _all(results):
        met = reached >= target if higher else reached <= target
        bound = "at least" if higher else "at most"
        rows.append(f"| {name} | {bound} {target} | {reached:.2f} | {'yes' if met else '**no**'} |")
    return "\n".join(["| what | target | reached | met |", "|---|---|---|---|", *rows]) + "\n"


def _all(results):
    """(what, target, reached, higher is better) of each target."""
    yield from _training(results.get("training") or {})
    yield from _averaging(results.get("averaging") or {})
    for name, r in (results.get("threads") or {}).items():
        yield f"{name}: one thread over two, all rounds", 1.8, r["all"], True
    yield from _federation(results.get("federation") or {})


def _training(cases):
    wanted = {
        "softmax, MNIST": {"NumPy": 8, "PyTorch": 20},
        "2NN, MNIST": {"NumPy": 4, "PyTorch": 8},
        "2NN, dense input": {"NumPy": 2},
    }
    for case, by in cases.items():
        for peer, target in wanted[case].items():
            if peer in by:
                yield f"{case}: {peer} over fedcore", target, _ratio(by, peer, "fedcore"), True


def _averaging(cases):
    for case, by in cases.items():
        yield f"{case}: fedcore over a plain read", 1.5, _ratio(by, "fedcore", "plain read"), False
        if "Flower" in by:
            yield f"{case}: Flower over fedcore", 2.5, _ratio(by, "Flower", "fedcore"), True


def _federation(runs):
    for epochs, by in runs.items():
        for peer, target in {"PyTorch": 5, "Flower": 20}.items():
            if peer in by:
                ratio = by[peer]["wall"] / by["fedcore"]["wall"]
                yield f"federation, E = {epochs}: {peer} over fedcore", target, ratio, True


def _ratio(by, one, other):
    return by[one]["cpu"] / by[other]["cpu"]
