"""A federation in processes of its own, on the screen: buttons, live log, network map."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import ipywidgets as widgets
from IPython import get_ipython

from fedcore import flower_saved
from fedcore.flower_saved import Line
from fedcore.lab.frames import asked_frame
from fedcore.lab.network import NetworkMap
from fedcore.lab.style import html_block

SHOWN = 12  # lines of the log
WIDE = 110  # characters of a line that are shown
N_ROUNDS, TIMEOUT = 3, 45.0  # of the panel's own run
LOOK = "margin:0;height:216px;overflow:auto;font-size:12px;white-space:pre"
HASTE = 8  # a record is replayed so many times as fast


def start_federation(n_nodes: int = 3):
    """SuperLink and SuperNodes as processes, or the record of a run where Flower is missing.

    Says which. The processes end with ``close()``, with an error in any cell of the notebook, and
    with its kernel. See ``fedcore.flower_live.RealFederation`` for what it can do.
    """
    federation = flower_saved.start_federation(n_nodes)
    shell = get_ipython()
    if shell is not None and not federation.saved:

        def close_on_error(result: Any) -> None:
            if not federation.open:
                shell.events.unregister("post_run_cell", close_on_error)
            elif not result.success:
                federation.close()
                shell.events.unregister("post_run_cell", close_on_error)
                print("The cell has failed, so the federation's processes were ended.")

        shell.events.register("post_run_cell", close_on_error)
    return federation


def log_text(lines: Sequence[Line], sources: Sequence[str] | None = None, last: int = 40) -> str:
    """The last lines of a log as text: seconds since the start, who wrote it, what."""
    chosen = [line for line in lines if sources is None or line.source in sources][-last:]
    return "\n".join(f"{s:6.1f} s  {source:<12} {_cut(text)}" for s, source, text in chosen)


def _cut(text: str) -> str:
    return text if len(text) <= WIDE else f"{text[: WIDE - 4]} ..."


def server_lines(lines: Sequence[Line]) -> list[Line]:
    """What the server's app and whoever kills nodes have said: the story of the run."""
    killed = "killed from here"
    return [line for line in lines if line.source == "ServerApp" or killed in line.text]


class ProcessPanel(widgets.VBox):
    """Start a federation of processes, watch it, kill a node; put it last in a cell.

    federation: one to watch, from ``lab.start_federation``; without it the panel has a button that
    starts one of its own, of ``n_nodes`` nodes and three rounds. Without Flower that button replays
    the record of a real run, eight times as fast.

    Nothing starts before somebody presses *Start*. ``close()`` ends what the panel has started.
    """

    def __init__(self, federation: Any = None, n_nodes: int = 3):
        self.federation, self._own = federation, federation is None
        self.n_nodes = n_nodes if federation is None else federation.n_nodes
        self._lock = threading.Lock()
        self._work: threading.Thread | None = None
        self._stop = threading.Event()
        self.map = NetworkMap((), self.n_nodes, names=[f"node {k}" for k in range(self.n_nodes)])
        self.status = widgets.HTML()
        self.output = widgets.HTML()
        self.start = _button("Start", self.begin, "Start server and nodes as processes")
        self.kills = [
            _button(f"Kill node {k}", lambda k=k: self.kill(k), "SIGKILL, without a warning")
            for k in range(self.n_nodes)
        ]
        self.end = _button("Stop", self.stop, "End every process")
        buttons = [*([self.start] if self._own else []), *self.kills, self.end]
        row = widgets.Box(buttons, layout=widgets.Layout(flex_flow="row wrap"))
        super().__init__([self.status, row, self.output, self.map])
        if not self._own:
            federation.on_change = self.refresh
        watching = (
            "Watching." if federation is None or federation.open else "The record of a real run."
        )
        self._say("Press Start." if self._own else watching)

    # ---------------------------------------------------------------------------- the buttons

    def begin(self) -> None:
        """Start a federation of the panel's own and run its rounds, in the background."""
        if self._work is not None and self._work.is_alive():
            return
        self._stop.clear()
        self._work = threading.Thread(target=self._run, name="panel", daemon=True)
        self._work.start()

    def kill(self, number: int) -> None:
        """End SuperNode ``number``, if there is one to end."""
        if self.federation is None or not self.federation.open:
            self._say("There is no process to kill: nothing is running here.")
        elif number not in self.federation.killed:
            self.federation.kill(number)

    def stop(self) -> None:
        """End the run, and every process of it."""
        self._stop.set()
        if self.federation is not None and self.federation.open:
            self.federation.close()
        self._say("Stopped: every process has been ended.")

    def close(self) -> None:
        """The same, and take the panel from the page."""
        self.stop()
        super().close()

    # ------------------------------------------------------------------------- in the background

    def _run(self) -> None:
        try:
            self._say("Starting ...")
            self.federation = federation = flower_saved.start_federation(self.n_nodes)
            if federation.saved:
                self._replay(federation)
                return
            with federation:
                if self._stop.is_set():  # pressed while it started
                    return
                federation.on_change = self.refresh
                self._say("Running. Kill a node whenever you like.")
                federation.run(N_ROUNDS, round_timeout=TIMEOUT)
            self.refresh()
            if not self._stop.is_set():
                self._say("Done: every process has been ended.")
        except Exception as error:  # a thread has no cell to show it in
            if not self._stop.is_set():
                self._say(f"Ended: {str(error).splitlines()[0]}")

    def _replay(self, saved: Any) -> None:
        """Show the record's lines at the pace at which they came, only faster."""
        self._say("Flower is not installed: this is the record of a real run, replayed.")
        history, before = saved.last_run(), 0.0
        for i, line in enumerate(saved.all_lines):
            if self._stop.wait((line.seconds - before) / HASTE):
                return
            before = line.seconds
            done = sum("clients, test accuracy" in text for _, _, text in saved.all_lines[: i + 1])
            self._show(saved.all_lines[: i + 1], history.rounds[:done])
        self._say("The record has ended.")

    def refresh(self) -> None:
        """Show what the federation has logged and done so far."""
        history = self.federation.history
        self._show(self.federation.lines, history.rounds if history else [])

    def _show(self, lines: Sequence[Line], rounds: Sequence[Any]) -> None:
        with self._lock:
            text = escape(log_text(server_lines(lines), last=SHOWN))
            self.output.value = html_block(
                f'<pre role="log" tabindex="0" aria-label="Log" style="{LOOK}">{text}</pre>'
            )
            if len(rounds) != len(self.map.frames):
                everybody = range(self.n_nodes)
                self.map.frames = [asked_frame(record, everybody) for record in rounds]
                self.map.index = max(0, len(rounds) - 1)

    def _say(self, text: str) -> None:
        self.status.value = html_block(f'<b>Processes</b><p role="status">{escape(text)}</p>')


def _button(text: str, press: Callable[[], object], tooltip: str) -> widgets.Button:
    button = widgets.Button(description=text, tooltip=tooltip)
    button.layout.width = "auto"
    button.on_click(lambda _: press())
    return button
