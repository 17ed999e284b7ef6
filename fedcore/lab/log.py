"""The server's log of one round: who reported, with what weight, and what came of it."""

from __future__ import annotations

from fedcore._validate import as_real, describe
from fedcore.history import RoundRecord
from fedcore.lab.style import NBSP, count, html_block, number, percent, size

HEADS = ("client", "examples n_k", "weight n_k / n", "norm of its delta")


class AggregationLog:
    """The log of one round: a table in a notebook, plain text elsewhere. See aggregation_log."""

    def __init__(self, record: RoundRecord, previous_accuracy: float | None):
        self.record, self.previous_accuracy = record, previous_accuracy

    @property
    def rows(self) -> list[tuple[int, int, float, float]]:
        """(client, examples, weight, norm of the update) of each client that reported."""
        r = self.record
        return list(zip(r.clients, r.n_examples, r.weights, r.update_norms, strict=True))

    @property
    def summary(self) -> str:
        """What came of the round, in a sentence."""
        r = self.record
        text = f"Test accuracy after this round: {percent(r.accuracy)}"
        if self.previous_accuracy is not None:
            change = 100 * (r.accuracy - self.previous_accuracy)
            text += f" ({change:+.1f}".replace("-", "\N{MINUS SIGN}") + f"{NBSP}points)"
        return f"{text}. Received {size(r.bytes_up)}, sent {size(r.bytes_down)}."

    def __repr__(self) -> str:
        lines = [f"Round {self.record.round}: {count(len(self.rows), 'client')} reported"]
        lines.append("{:>8}{:>16}{:>18}{:>20}".format(*HEADS))
        lines += [f"{k:>8}{n:>16,}{w:>18.4f}{d:>20.4f}" for k, n, w, d in self.rows]
        total = sum(self.record.n_examples)
        lines.append(f"{'all':>8}{total:>16,}{sum(self.record.weights):>18.4f}")
        return "\n".join([*lines, self.summary])

    def _repr_html_(self) -> str:
        r, largest = self.record, max(self.record.weights)
        heads = (
            "client",
            "examples <i>n<sub>k</sub></i>",
            "weight <i>n<sub>k</sub></i> / <i>n</i>",
        )
        head = "".join(f'<th scope="col">{h}</th>' for h in (*heads, "norm of its delta"))
        body = "".join(_row(*row, largest) for row in self.rows)
        total = f"<td>{sum(r.n_examples):,}</td><td>{sum(r.weights):.4f}</td><td></td>"
        title = f"Server log, round {r.round}: {count(len(self.rows), 'client')} reported"
        return html_block(
            f'<b>{title}</b><div class="fc-scroll" tabindex="0" role="region" aria-label="{title}">'
            f'<table class="fc-table"><thead><tr>{head}</tr></thead>'
            f'<tbody>{body}</tbody><tfoot><tr><th scope="row">all</th>{total}</tr></tfoot></table>'
            f"</div><p>{self.summary}</p>"
        )


def aggregation_log(record: RoundRecord, previous_accuracy: float | None = None) -> AggregationLog:
    """The log of ``record`` as something to be shown last in a cell.

    previous_accuracy: of the model before the round, in [0, 1]; with it the log tells the change.
    """
    if not isinstance(record, RoundRecord):
        raise TypeError(f"record must be a RoundRecord, got {describe(record)}")
    if previous_accuracy is not None:
        previous_accuracy = as_real("previous_accuracy", previous_accuracy, 0, 1)
    return AggregationLog(record, previous_accuracy)


def _row(client: int, n: int, weight: float, norm: float, largest: float) -> str:
    bar = f'<span class="fc-weight" style="width:{40 * weight / largest:.0f}px"></span>'
    return (
        f'<tr><th scope="row">{client}</th><td>{n:,}</td><td>{bar}{weight:.4f}</td>'
        f"<td>{number(norm)}</td></tr>"
    )
