"""How the live panels feel: ``make feel``. Needs a browser (Debian: ``apt install chromium``).

Every panel with the defaults of its lesson, in JupyterLab in a real browser. Server and kernel
share one core, the browser has another. Twenty times a key moves a slider; timed in the page, from
the time stamp of the slider's input event to the end of the frame (layout and paint done) in which

- ``first``: anything of the panel but the moved slider itself changes;
- ``result``: the new run's first round is on the chart (attack panel: the new pictures);
- ``curve``: the new run's curve is whole;
- ``done``: everything is there, in the privacy panel also the attack's 24 trainings.

Over the same moves: ``heights``, the heights of the panel in pixels in any frame after the first
move; ``shift``, the sum of layout-shift scores in which something in the panel moved up or down;
``figures``, what there was of panels, charts, maps and outputs in any frame; ``blank``, frames in
which a chart was empty. Then 100 moves, 30 ms apart: ``heap``, ``nodes``, ``kernel``: what the page
(bytes, DOM nodes) and the kernel (bytes) hold more than before, after collecting garbage.

Writes ``feel.json`` and ``feel.md`` beside this file. ``--only NAME`` times that panel alone and
keeps the others' figures.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from browser import chromium
from browser.conftest import Course
from browser.feel import drag, watch, watched
from browser.panels import CELLS, Panel
from browser.server import Server
from playwright.sync_api import sync_playwright

MOVES, MANY = 20, 100
STEPS = ("first", "result", "curve", "done")
TARGETS = {"first": 150, "curve": 1000}  # ms

# Notes when, after the next input event, each step is painted.
TIMER = """(root, rounds) => {
  const times = {};
  root.feel = times;
  let begin = null;
  let moved = null;
  const pending = new Set();
  const painted = (name) => {
    if (pending.has(name)) return;
    pending.add(name);
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => { times[name] = performance.now() - begin; };
      channel.port2.postMessage(0);
    });
  };
  root.addEventListener("input", (event) => {
    begin = event.timeStamp;
    moved = event.target.closest(".fc-stops");
  }, { capture: true, once: true });
  const observer = new MutationObserver((changes) => {
    if (begin === null) return;
    if (changes.some(({ target }) => !moved.contains(target))) painted("first");
    const phase = root.dataset.phase;
    if (phase === "waiting") return;
    const done = phase !== "running";
    const line = root.querySelector(".fc-plot .fc-line.fc-look-1");
    const points = line ? line.getAttribute("d").split("L").length - 1 : 0;
    if (points >= 1 || done) painted("result");
    if (points >= rounds || done) painted("curve");
    if (!done) return;
    painted("done");
    observer.disconnect();
  });
  const what = { subtree: true, childList: true, characterData: true, attributes: true };
  observer.observe(root, what);
}"""


def measure(note, name):
    """All figures of one panel."""
    panel = Panel(note, name)
    panel.settled()
    load = os.getloadavg()[0]
    for slider, key in moves(panel, 2 * len(panel.sliders())):  # texts have had their longest line
        slider.press(key)
        panel.answered()
    panel.settled()
    watch(panel)
    times = [timed(panel, slider, key) for slider, key in moves(panel, MOVES)]
    seen = watched(panel)
    found = {step: summary([move[step] for move in times]) for step in STEPS}
    found |= {key: seen[key] for key in ("heights", "shift", "figures", "blank", "frames")}
    return found | growth(panel) | {"load": round(load, 2)}


def moves(panel, n):
    """(slider, key) of n moves: each slider one stop away and back, in turns."""
    sliders = list(panel.sliders().values())
    for i in range(n // 2):
        slider = sliders[i % len(sliders)]
        up = int(slider.input_value()) < int(slider.get_attribute("max"))
        for key in ("ArrowRight", "ArrowLeft") if up else ("ArrowLeft", "ArrowRight"):
            yield slider, key


def timed(panel, slider, key):
    """{step: ms} of one move by a key."""
    rounds = panel.ask("getattr(p.settings, 'n_rounds', 0)")
    panel.root.evaluate(TIMER, rounds)
    slider.press(key)
    panel.note.until(lambda: panel.root.evaluate("(root) => 'done' in root.feel"), "the run")
    return panel.root.evaluate("(root) => root.feel")


def summary(values):
    """Median and worst, ms."""
    return {"median": round(statistics.median(values), 1), "worst": round(max(values), 1)}


def growth(panel):
    """What 100 moves leave behind."""
    page = panel.note.page
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    slider = panel.slider(next(iter(panel.sliders())))
    places = range(int(slider.get_attribute("max")) + 1)

    def held():
        panel.settled()
        session.send("HeapProfiler.collectGarbage")
        told = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
        kernel = "(__import__('gc').collect(), __import__('psutil').Process().memory_info().rss)[1]"
        return told["JSHeapUsedSize"], told["Nodes"], panel.note.kernel(kernel)

    def move(n):
        for _ in range(n // 10):
            drag(slider, [places[i % len(places)] for i in range(10)])

    move(20)  # whatever is kept once
    before = held()
    move(MANY)
    more = [int(now - then) for now, then in zip(held(), before, strict=True)]
    return dict(zip(("heap", "nodes", "kernel"), more, strict=True))


def run(names):
    """{panel: figures}, the server and kernels on one core, the browser on another."""
    cores = sorted(os.sched_getaffinity(0))
    server_core, browser_core = {cores[0]}, {cores[-1]}
    with tempfile.TemporaryDirectory(prefix="feel-") as folder:
        os.sched_setaffinity(0, server_core)  # what is started next inherits it
        server = Server(Path(folder))
        try:
            os.sched_setaffinity(0, browser_core)
            with sync_playwright() as playwright:
                course = Course(server, chromium.launch(playwright, chromium.find()))
                return {name: on_its_own(course, name) for name in names}
        finally:
            os.sched_setaffinity(0, cores)
            server.stop()


def on_its_own(course, name):
    """The figures of one panel in a notebook of its own."""
    note = course.open(course.write([CELLS[name]]))
    note.run_all()
    found = measure(note, name)
    assert note.console == [], note.console
    course.close(note)
    return found


def machine():
    """What it was measured on."""
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "cores used": "server and kernel 1, browser 1",
    }


def markdown(results):
    """feel.md."""
    lines = [
        "# How the live panels feel\n",
        "Written by `make feel`; `benchmarks/feel.py` says what"
        " is measured. Server and kernel share one core, the browser has another. Milliseconds"
        f" after the move of a slider, median and (worst) of {MOVES} moves.\n",
    ]
    head = [
        "panel",
        "first change",
        "first round",
        "whole curve",
        "everything",
        "height, px",
        "layout shift",
        "empty frames",
        "page, kernel after 100 moves",
        "load before",
    ]
    rows = [
        [
            name,
            *(f"{r[s]['median']:.0f} ({r[s]['worst']:.0f})" for s in STEPS),
            ", ".join(r["heights"]),
            f"{r['shift']:.3f}",
            f"{r['blank']} of {r['frames']}",
            f"{r['heap'] / 1e6:+.1f} MB, {r['kernel'] / 1e6:+.1f} MB",
            f"{r['load']}",
        ]
        for name, r in results["panels"].items()
    ]
    lines += ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    missed = [
        f"{name}: {step}, median {r[step]['median']:.0f} ms, target {limit} ms"
        for name, r in results["panels"].items()
        for step, limit in TARGETS.items()
        if r[step]["median"] > limit
    ]
    lines += ["\nTargets: first change within 150 ms, whole curve in about 1 s."]
    lines += ["All are met in the median." if not missed else "Missed: " + "; ".join(missed) + "."]
    told = "; ".join(f"{key}: {value}" for key, value in results["machine"].items())
    return "\n".join([*lines, f"\nMachine: {told}.", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", choices=CELLS, help="time this panel, keep the others' figures")
    only = parser.parse_args().only
    if chromium.find() is None:
        sys.exit(chromium.HOW)
    path = HERE / "feel.json"
    old = json.loads(path.read_text())["panels"] if only and path.exists() else {}
    new = run([only] if only else list(CELLS))
    panels = {name: (old | new)[name] for name in CELLS if name in old | new}
    results = {"machine": machine(), "panels": panels}
    path.write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "feel.md").write_text(markdown(results), encoding="utf-8")
    print(markdown(results))


if __name__ == "__main__":
    main()
