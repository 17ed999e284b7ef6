"""The targets set for the compiled core, what was reached, and what stops it short of them."""

from __future__ import annotations

TEXT = """\
What stops us was looked into by hand, on the machine whose results are kept here (two cores,
AVX-512), with `perf record` and with kernels run on data that fit in the cache. CPU times.

**Softmax against NumPy.** A visit to an example takes about 0.35 to 0.45 microseconds: 146 of its
784 pixels are not 0, and each costs one row read and added (forward) and one read, added to and
written (backward), 292 row operations, 1.2 to 1.6 nanoseconds each. `add_rows` and `add_to_rows`
take the time in about equal parts. The matrix, 50 kB, stays in the second cache; a row is one
vector of 16 floats, of which the 10 classes fill 10. So the limit is the instructions of a row
(place, value, load, multiply-add, store), not memory and not arithmetic. A first epoch costs
about 0.15 ms more than a later one, since it makes the lists of pixels. NumPy's own time moves as
much as ours does from hour to hour: the ratio was 6.2 and 6.5 in two runs.

**2NN against NumPy, MNIST.** The profile: `add_rows` (forward) 32 % of the kernel's time,
`add_to_rows` (update) 26 %, `dots` (errors sent back) 15 %, `add_rows_pair` 12 %, the rest 15 %.
A batch of 10 touches 48 % of the first layer's rows, since its examples share few pixels: each
row that is brought from the second cache is then used by 4 examples of 10, where a dense product
uses it by all 10. Sparsity saves four fifths of the first layer's arithmetic but only half of its
traffic, and the 800 kB of weights do not fit in the first cache. On dense input, where NumPy and
we move the same rows, the rate is stated under Local SGD, as part of what sgemm reaches.

**Average of 10 updates of 10 million.** The parts, in ms: a plain read 13 to 14; our loop with
its output already in memory 26.5 to 27.5; first touch of the 40 MB of output 4 (the system hands
out zeroed pages); the check that the average is finite 2.2 to 2.4. So neither output nor check is
the larger part. The loop alone, on 10 rows that stay in the cache, takes 0.13 to 0.15 nanoseconds
a number, that is 13 to 15 ms for these 100 million: about as much as the read. The two add up
rather than overlap. Each float is converted to float64 before it is added, which keeps the error
at 3e-8; 10 updates make three groups of four, so the last group is half empty; and the running
total is cleared and rounded once in 10 rows, where 1000 updates do so once in 1000. Tried: to ask
early for the first rows of the next strip, no gain; the check in the rounding loop, 1 to 2 ms of
34.

**The average of 100 and 1000 updates.** On a busy machine both lists stayed below 1.5, on a quiet
one they don't: the plain read gains more from the quiet than the loop, which converts each float to
float64 and adds it. The same holds for the 10 long updates, see above.

**Threads.** The probe says how much two threads give of plain multiplication that shares nothing;
rounds in which it gives at least 1.9 are called free, and only they speak for the core. In them
the 2NN reaches its target and softmax does not. There a client's work takes 1.4 ms; drawing its
epoch orders, which holds Python's lock, is 4 % of that and would still allow 1.93. We have not
found what takes the rest.

**A whole federation against Flower, E = 5.** A straight line through Flower's two medians puts
1.5 s of a round on the engine, whatever E is, and 0.18 s on an epoch. The more local work, the
more the comparison is with PyTorch on two cores and the less with the engine. Medians leave its
first round out (17 s at E = 1, 9 s at E = 5: workers start); the mean of all 5 rounds would be 27
times our median at E = 5. It ran 5 rounds instead of 20, since they are slow; its accuracy is
that of round 5.

**Evaluation.** All 10,000 test images, and the norms of the updates, take 23 to 24 ms a round: 44
% of our round at E = 1, 17 % at E = 5. It does not dominate, but at E = 1 it is nearly half.
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
