"""The asynchronous federation: trains what the event queue of ``fedbuff`` says, step by step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import groupby

import numpy as np

from fedcore.fedbuff import AsyncQueue, AsyncStep
from fedcore.fleet_round import totals
from fedcore.history import RoundRecord

Train = Callable[[int, np.ndarray, list[int], list[int]], np.ndarray]


def async_rounds(
    queue: AsyncQueue,
    params: np.ndarray,
    rounds: Iterator[int],
    train: Train,
    check: Callable[[int, np.ndarray], np.ndarray],
    evaluate: Callable[[int, np.ndarray], tuple[float, float]],
) -> Iterator[tuple[RoundRecord, np.ndarray]]:
    """(record, new parameters) after each step of the server.

    train(t, base, devices, tasks) gives the parameters (m, P) that the devices send back, trained
    from ``base`` (P,); the epoch orders follow from the tasks' numbers, so that a device that works
    twice on the same version does not do the same twice. check(t, params) refuses what is not
    finite, evaluate(t, params) gives (loss, accuracy).
    """
    versions = {0: params}  # the models that somebody still works on
    sizes = queue.job[0]
    for t in rounds:
        begun = time.perf_counter()
        step = queue.step(t)
        deltas = _deltas(step, versions, t, train)
        trained = time.perf_counter()
        if step.reports:
            mean = step.scales @ deltas / len(step.reports)
            params = check(t, (params + queue.plan.server_lr * mean).astype(np.float32))
        versions[queue.version] = params
        versions = {v: model for v, model in versions.items() if v >= queue.oldest}
        aggregated = time.perf_counter()
        loss, accuracy = evaluate(t, params)
        order = sorted(range(len(step.reports)), key=lambda i: step.reports[i])
        clients = [step.reports[i].device for i in order]
        yield (
            RoundRecord(
                round=t,
                clients=tuple(clients),
                n_examples=tuple(sizes[clients].tolist()),
                weights=tuple((step.scales[order] / step.scales.sum()).tolist()),
                update_norms=tuple(np.sqrt(np.square(deltas[order]).sum(axis=1)).tolist()),
                loss=loss,
                accuracy=accuracy,
                seconds_train=trained - begun,
                seconds_aggregate=aggregated - trained,
                seconds_evaluate=time.perf_counter() - aggregated,
                abandoned=not step.reports,
                events=step.events,
                **totals(step.events),
            ),
            params,
        )


def _deltas(step: AsyncStep, versions, t, train: Train) -> np.ndarray:
    """(m, P) float64: what each report adds to the model that its device was given."""
    deltas = np.empty((len(step.reports), len(versions[min(versions)])), dtype=np.float64)
    order = sorted(range(len(step.reports)), key=lambda i: step.reports[i].version)
    for version, group in groupby(order, key=lambda i: step.reports[i].version):
        places = list(group)
        reports = [step.reports[i] for i in places]
        base = versions[version]
        after = train(t, base, [r.device for r in reports], [r.task for r in reports])
        deltas[places] = after.astype(np.float64) - base
    return deltas
