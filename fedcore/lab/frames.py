"""What crosses the network in a round, as plain data: the one source of map, picture and words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fedcore._validate import as_int, describe
from fedcore.history import History, RoundRecord
from fedcore.lab.style import count, number, percent, size

MANY = 12  # client ids that a sentence lists before it says "and 88 more"


def round_frame(record: RoundRecord) -> dict[str, Any]:
    """One round as a frame: {title, clients: [{id, down, up, notes}], bytes_down, bytes_up, text}.

    Each of the m clients that took part received and sent an equal share of the round's bytes.
    """
    if not isinstance(record, RoundRecord):
        raise TypeError(f"record must be a RoundRecord, got {describe(record)}")
    m = len(record.clients)
    columns = (record.clients, record.n_examples, record.weights, record.update_norms)
    clients = [
        {
            "id": k,
            "down": record.bytes_down // m,
            "up": record.bytes_up // m,
            "notes": [
                f"holds {count(n, 'example')}",
                f"weight in the mean {number(w)}",
                f"its model moved by {number(norm)} (L2 norm)",
            ],
        }
        for k, n, w, norm in zip(*columns, strict=True)
    ]
    text = (
        f"The server asked {count(m, 'client')}: {_names(record.clients)}. Each received the model "
        f"({size(record.bytes_down / m)}), trained it on its own data and sent it back "
        f"({size(record.bytes_up / m)}). Test accuracy after the mean: {percent(record.accuracy)}."
    )
    return _frame(f"Round {record.round}", clients, text)


def asked_frame(record: RoundRecord, asked: Sequence[int]) -> dict[str, Any]:
    """A round that not everybody survived, in the form of ``round_frame``.

    asked: the ids of those that were sent the model; who of them is not in the record was silent.
    """
    down = record.bytes_down // max(len(asked), 1)
    up = record.bytes_up // max(len(record.clients), 1)
    weights = dict(zip(record.clients, record.weights, strict=True))
    clients = [
        {
            "id": k,
            "down": down,
            "up": up if k in weights else 0,
            "notes": [f"weight in the mean {number(weights[k])}" if k in weights else "was silent"],
        }
        for k in asked
    ]
    silent = [k for k in asked if k not in weights]
    text = (
        f"The server asked {count(len(asked), 'client')}: {_names(asked)}. Each was sent the model "
        f"({size(down)}); {_names(record.clients) if weights else 'nobody'} sent it back, trained"
        f"{', and nothing came from ' + _names(silent) if silent else ''}. "
        f"Test accuracy after the mean: {percent(record.accuracy)}."
    )
    return _frame(f"Round {record.round}", clients, text)


def data_frame(n_examples: Sequence[int], bytes_per_example: int) -> dict[str, Any]:
    """Data to model: every client sends its raw examples to the server, once; same form.

    n_examples: per client, each at least 1. bytes_per_example: what one example takes on the wire.
    """
    each = as_int("bytes_per_example", bytes_per_example, minimum=1)
    sizes = [as_int(f"n_examples[{k}]", n, minimum=1) for k, n in enumerate(n_examples)]
    if not sizes:
        raise ValueError("n_examples must name at least one client, got none")
    clients = [
        {
            "id": k,
            "down": 0,
            "up": n * each,
            "notes": [f"sends {count(n, 'example')}", "keeps nothing to itself"],
        }
        for k, n in enumerate(sizes)
    ]
    text = (
        f"{count(len(sizes), 'client')} sent their raw data, {count(sum(sizes), 'example')} of "
        f"{size(each)}: {size(sum(sizes) * each)} in all. The server now holds a copy of "
        "everything."
    )
    return _frame("Raw data to the server", clients, text)


def as_frames(rounds: Any) -> list[dict[str, Any]]:
    """A History, a record, a frame, or a list of records and frames, as a list of frames."""
    if isinstance(rounds, History):
        rounds = rounds.rounds
    if isinstance(rounds, RoundRecord | dict):
        rounds = [rounds]
    if isinstance(rounds, str) or not isinstance(rounds, Iterable):
        raise TypeError(f"rounds must be a History, records or frames, got {describe(rounds)}")
    return [item if isinstance(item, dict) else round_frame(item) for item in rounds]


def positions(n_clients: int) -> list[tuple[float, float]]:
    """Where the clients stand around the server: (x, y) in [-1, 1], on as few rings as they need.

    The server is at (0, 0). Clients fill the rings from the inside; a ring's share of them is
    proportional to its length, so that neighbours stand about equally far apart.
    """
    n = as_int("n_clients", n_clients, minimum=1)
    n_rings = 1 if n <= 16 else 2 if n <= 48 else 3 if n <= 120 else 4 if n <= 240 else 6
    radii = np.linspace(0.42, 0.94, n_rings) if n_rings > 1 else np.array([0.78])
    shares = np.floor(n * radii / radii.sum()).astype(int)
    shares[-1] += n - shares.sum()
    points = []
    for radius, members in zip(radii, shares, strict=True):
        angles = (
            2 * np.pi * (np.arange(members) + 0.5 * (members % 2)) / max(members, 1) - np.pi / 2
        )
        points += [(float(radius * np.cos(a)), float(radius * np.sin(a))) for a in angles]
    return [(round(x, 4), round(y, 4)) for x, y in points]


def _frame(title: str, clients: list[dict[str, Any]], text: str) -> dict[str, Any]:
    down, up = (sum(client[way] for client in clients) for way in ("down", "up"))
    traffic = f"{size(down)} down, {size(up)} up"
    return {
        "title": title,
        "clients": clients,
        "bytes_down": down,
        "bytes_up": up,
        "traffic": traffic,
        "text": text,
    }


def _names(clients: Sequence[int]) -> str:
    names = [str(k) for k in clients]
    if len(names) > MANY:
        return f"{', '.join(names[:MANY])} and {len(names) - MANY} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
