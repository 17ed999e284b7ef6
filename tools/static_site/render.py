"""A notebook as the body of a page: prose, code, saved outputs, and places for its widgets."""

from __future__ import annotations

import base64
import gzip
import json
import re
import struct
from dataclasses import dataclass, field
from html import escape, unescape
from typing import Any

from fedcore.lab import quiz_file

from . import prose
from .capture import needs_kernel, widget_calls
from .course import Links, Page
from .quizzes import as_text, marking_key

RESULT = re.compile(r"Result: (.+)\. You had not made a guess", re.S)
HREF = re.compile(r'href="([^"]+)"')
STYLE = re.compile(r"<style>\.fc-out.*?</style>", re.S)
WITHOUT = (
    '<p class="needs">What this cell shows works with Python at every move, so it is not on this '
    'page: <a href="#run-it">run it</a>.</p>'
)


@dataclass
class Body:
    """What a notebook becomes. files: {path in the site: content} of its figures and states."""

    html: str = ""
    headings: list[tuple[int, str, str]] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)  # of widgets: their scripts must be there
    files: dict[str, bytes] = field(default_factory=dict)


class Renderer:
    """Renders one page. widgets: {cell id: what ``capture`` found}, none for exercises."""

    def __init__(self, page: Page, links: Links, widgets: dict[str, list[dict[str, Any]]]):
        self._page, self._links, self._widgets = page, links, widgets
        self._body = Body()
        self._guesses: dict[str, tuple[str, dict[str, Any]]] = {}  # name: (mount, state)

    def body(self) -> Body:
        """The whole page."""
        parts = [self._cell(i, cell) for i, cell in enumerate(self._page.notebook["cells"])]
        self._body.html = "\n".join(parts)
        return self._body

    def _cell(self, index: int, cell: dict) -> str:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            html, headings = prose.markdown(source, self._links, self._picture)
            self._body.headings += headings
            return html
        name = cell.get("id", f"cell{index}")
        code = (
            f'<pre class="code" tabindex="0"><code>{prose.python(shown_code(source))}</code></pre>'
        )
        shown = [self._output(out, f"{name}-{n}") for n, out in enumerate(cell["outputs"])]
        shown = self._revealed(source, cell["outputs"], shown)
        mounts = self._mounts(name, source)
        if mounts:
            code = f'<details class="source"><summary>Code of this cell</summary>{code}</details>'
        return f'<div class="cell">{code}{mounts}{"".join(shown)}</div>'

    def _picture(self, url: str) -> str:
        raise ValueError(f"{self._page.source}: pictures in prose are not supported, got {url!r}")

    # ------------------------------------------------------------------------ saved outputs

    def _output(self, output: dict, name: str) -> str:
        if output["output_type"] == "stream":
            return f'<pre class="out" tabindex="0">{prose.terminal("".join(output["text"]))}</pre>'
        if output["output_type"] == "error":
            text = prose.terminal("\n".join(output["traceback"]))
            return f'<pre class="out" tabindex="0">{text}</pre>'
        data = {kind: "".join(text) for kind, text in output["data"].items()}
        if "image/png" in data:
            return self._figure(data, output.get("metadata", {}), name)
        if "text/html" in data:
            html = HREF.sub(self._href, STYLE.sub("", data["text/html"]))
            return f'<div class="out-html" tabindex="0">{html}</div>'
        return f'<pre class="out" tabindex="0">{escape(data.get("text/plain", ""))}</pre>'

    def _href(self, found: re.Match) -> str:
        target = self._links.resolve(unescape(found[1]))
        return f'href="{escape(target)}"' if target else ""

    def _figure(self, data: dict[str, str], metadata: dict, name: str) -> str:
        alt = metadata.get("image/png", {}).get("alt") or data.get("text/plain", "")
        alt = alt.removeprefix("Figure: ")
        png = base64.b64decode(data["image/png"])
        width, height = struct.unpack(">II", png[16:24])
        path = f"figures/{self._page.slug}-{name}.png"
        self._body.files[path] = png
        size = f'width="{width}" height="{height}"'
        return f'<img class="plot" src="{path}" alt="{escape(alt)}" {size} loading="lazy">'

    # ----------------------------------------------------------------------------- widgets

    def _mounts(self, cell: str, source: str) -> str:
        html = ""
        for n, widget in enumerate(self._widgets.get(cell, [])):
            mount = f"w-{cell}-{n}"
            data = {"kind": widget["kind"], "state": widget["state"]}
            note, fallback = "", "<p>This part of the page needs JavaScript.</p>"
            if "states" in widget:
                data["states"] = self._store_states(cell, widget["states"])
                note = _panel_note(len(widget["states"]))
            if widget["kind"] == "Quiz":
                quiz = quiz_file.load(_quiz_name(source))
                data |= {"key": marking_key(quiz)}
                data["state"] = {**widget["state"], "xp": None}
                note = _note("Your answers are marked on this page; no XP are kept.")
                fallback = as_text(quiz)
            if widget["kind"] in ("ProgressHeader", "SkillMap"):
                note = _note("A record of XP is kept in JupyterLab only; this is how it begins.")
            self._body.kinds.add(widget["kind"])
            html += (
                f'{note}<div class="widget" id="{mount}"><noscript>{fallback}</noscript></div>'
                f'<script type="application/json" data-for="{mount}">{_json(data)}</script>'
            )
        self._remember(cell, source)
        lesson = self._page.kind != "exercise"
        return html + (WITHOUT if lesson and any(map(needs_kernel, widget_calls(source))) else "")

    def _store_states(self, cell: str, states: dict[str, dict]) -> dict[str, str]:
        """Write each state to a file of its own; {positions: its path}."""
        paths = {}
        for positions, state in states.items():
            path = f"states/{self._page.slug}-{cell}-{positions.replace(',', '.')}.js"
            packed = base64.b64encode(gzip.compress(_json(state).encode(), 9, mtime=0)).decode()
            self._body.files[path] = f'fedcoreSite.state("{path}","{packed}");\n'.encode()
            paths[positions] = path
        return paths

    # -------------------------------------------------------------------------- predictions

    def _remember(self, cell: str, source: str) -> None:
        """Which variable holds which prediction: ``reveal`` is called on it further down."""
        made = [w for w in self._widgets.get(cell, []) if w["kind"] == "Prediction"]
        named = re.findall(r"^(\w+) = lab\.predict\(", source, re.M)
        for n, (name, widget) in enumerate(zip(named, made, strict=True)):
            self._guesses[name] = (f"w-{cell}-{n}", widget["state"])

    def _revealed(self, source: str, outputs: list[dict], shown: list[str]) -> list[str]:
        """The saved results of predictions wait until the reader has made a guess."""
        names = [n for n in re.findall(r"(\w+)\.reveal\(", source) if n in self._guesses]
        shown = list(shown)
        for i, output in enumerate(outputs):
            text = "".join(output.get("data", {}).get("text/plain", ""))
            found = RESULT.match(text)
            if found and names:
                shown[i] = _result(*self._guesses[names.pop(0)], found[1])
        return shown


def shown_code(source: str) -> str:
    """A cell's code without the mark on its first line that only tests read."""
    return re.sub(r"\A# NBVAL_\w+\n", "", source)


def _result(mount: str, state: dict[str, Any], result: str) -> str:
    options = [prose.plain_text(option) for option in state["options"]]
    plain = " ".join(result.split())
    data: dict[str, Any] = {"prediction": mount, "result": result}
    if options:
        data["choice"] = options.index(plain)
    else:
        data["value"] = float(re.match(r"-?[\d,.]+", plain)[0].replace(",", ""))
    return (
        f'<div class="reveal"><noscript><p>Measured: <b>{escape(result)}</b></p></noscript></div>'
        f'<script type="application/json" data-reveal="{mount}">{_json(data)}</script>'
    )


def _panel_note(n: int) -> str:
    return _note(
        f"Precomputed: these {n} settings of the panel, trained by the course's own library when "
        'this page was made. The full panel retrains live in JupyterLab: <a href="#run-it">run '
        "it</a>."
    )


def _note(html: str) -> str:
    return f'<p class="precomputed">{html}</p>'


def _quiz_name(source: str) -> str:
    return re.search(r"lab\.quiz\(\"(\w+)\"\)", source)[1]


def _json(data: Any) -> str:
    """JSON that may stand inside a script element."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")
