"""Who holds what, for the live panel: the picture's numbers, and the picture in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedcore import skew
from fedcore.datasets import Dataset
from fedcore.lab.style import count
from fedcore.models import MLP

SHOWN = 100  # clients that fit on a page


@dataclass(frozen=True, eq=False)
class Holdings:
    """A partition as the panel draws it. counts: (K, n_classes) int64; emd: mean over clients."""

    counts: np.ndarray
    emd: float

    @classmethod
    def of(cls, data: Dataset, parts: Sequence[np.ndarray]) -> Holdings:
        """The holdings of ``parts``, as from ``partition``."""
        counts = skew.label_counts(data.y, parts, data.n_classes)
        return cls(counts, float(skew.emd(data.y, parts).mean()))

    def worst(self, model: MLP, params: np.ndarray, test: Dataset) -> float:
        """The accuracy that the worst-off client meets on its own mix of classes, in [0, 1].

        Classes without test examples are left out of a client's mix.
        """
        tested = np.bincount(test.y, minlength=test.n_classes) > 0
        kept = self.counts * tested
        kept = kept[kept.sum(axis=1) > 0]
        if len(kept) == 0:
            return float("nan")
        shares = kept / kept.sum(axis=1, keepdims=True)
        return float(skew.client_accuracy(model, params, test, shares).min())

    def as_dict(self) -> dict[str, Any]:
        """What the page needs: counts of the first 100 clients, and the picture in words."""
        return {"counts": self.counts[:SHOWN].tolist(), "text": self.text()}

    def text(self) -> str:
        """The picture in words."""
        K, n_classes = self.counts.shape
        sizes = self.counts.sum(axis=1)
        classes = (self.counts > 0).sum(axis=1).mean()
        first = "" if K <= SHOWN else f" Shown: the first {SHOWN}."
        return (
            f"{count(K, 'client')}: {sizes.min():,} to {sizes.max():,} examples each, on average "
            f"of {classes:.1f} of {n_classes} classes. Mean EMD {self.emd:.2f}.{first}"
        )
