"""The progress bar of a long run."""

from __future__ import annotations

import time
import warnings

from fedcore._validate import describe
from fedcore.history import RoundRecord

BAR_AFTER = 2.0  # seconds that a run may last before it gets a bar


class Progress:
    """A progress bar that comes only if the run lasts: nothing is printed for a short one."""

    def __init__(self, show: bool | None, n_rounds: int):
        if show is not None and not isinstance(show, bool):
            raise TypeError(f"progress must be True, False or None, got {describe(show)}")
        self.n_rounds, self.done, self.bar = n_rounds, 0, None
        wait = {True: 0.0, False: float("inf"), None: BAR_AFTER}[show]
        self.show_at = time.perf_counter() + wait

    def step(self, record: RoundRecord) -> None:
        self.done += 1
        if self.bar is None and time.perf_counter() >= self.show_at:
            self.bar = new_bar(self.n_rounds, self.done)
        elif self.bar is not None:
            self.bar.update()
        if self.bar is not None:
            self.bar.set_postfix_str(f"test accuracy {record.accuracy:.3f}")

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def new_bar(total: int, done: int):
    with warnings.catch_warnings():  # without ipywidgets tqdm warns, then draws with text
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm
    return tqdm(total=total, initial=done, unit="round")
