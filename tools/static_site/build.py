"""Build the site: capture widgets (kept by their content's hash), render pages, check links."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from typing import Any

import anywidget
import jinja2
from markupsafe import Markup

import fedcore.lab
from fedcore.lab.style import STATIC as LAB

from . import prose, search
from .course import LICENCES, ROOT, Links, Page, pages
from .render import Body, Renderer

HERE = Path(__file__).parent
COURSE = "Federated learning, by doing it"
GROUPS = {"lesson": "Lessons", "exercise": "Exercises", "reference": "To look things up"}
EXPORT = "export default { render };"


def build(out: Path, cache: Path, most: int | None = None, jobs: int = 1) -> None:
    """Write the site to ``out``, which is emptied first. most: states of each panel at most."""
    all_pages = pages()
    widgets = captured(all_pages, cache, most, jobs)
    shutil.rmtree(out, ignore_errors=True)
    bodies = {
        p: Renderer(p, Links(all_pages, p.source), widgets.get(p, {})).body() for p in all_pages
    }
    site = _Site(out, all_pages)
    entries: list[dict[str, str]] = []
    start = _start_page(all_pages)
    site.write("index.html", COURSE, start)
    entries += search.entries("index.html", COURSE, start.html)
    for page, body in bodies.items():
        body.html = _with_run_note(page, body.html)
        site.write(page.href, page.title, body)
        entries += search.entries(page.href, page.title, body.html)
    site.write("search.html", "Search", Body(SEARCH), ["search.js", "search-index.js"])
    site.write("licences.html", "Licences", _licences(all_pages))
    _assets(out, {kind for body in bodies.values() for kind in body.kinds})
    (out / "assets/search-index.js").write_text(search.index_script(entries), encoding="utf-8")


# ------------------------------------------------------------------------------------ capture


def captured(
    all_pages: list[Page], cache: Path, most: int | None, jobs: int
) -> dict[Page, dict[str, Any]]:
    """What the widgets of each notebook show; computed in a process of its own unless kept."""
    cache.mkdir(parents=True, exist_ok=True)
    sources = _sources()
    chosen = [page for page in all_pages if page.kind != "exercise"]

    def one(page: Page) -> dict[str, Any]:
        code = [c["source"] for c in page.notebook["cells"] if c["cell_type"] == "code"]
        key = hashlib.sha256(f"{sources}{json.dumps(code)}{most}".encode()).hexdigest()[:20]
        kept = cache / f"{page.stem}-{key}.json"
        if not kept.is_file():
            _capture(page, kept, most)
        return json.loads(kept.read_text(encoding="utf-8"))

    with ThreadPoolExecutor(jobs) as pool:
        return dict(zip(chosen, pool.map(one, chosen), strict=True))


def _capture(page: Page, kept: Path, most: int | None) -> None:
    with tempfile.TemporaryDirectory() as folder:  # not the record of whoever builds
        made = Path(folder) / "widgets.json"
        command = [
            sys.executable,
            "-m",
            "tools.static_site.capture",
            str(ROOT / page.source),
            str(made),
        ]
        env = {
            **os.environ,
            "TQDM_DISABLE": "1",
            "MPLBACKEND": "Agg",
            "FEDCORE_PROGRESS": f"{folder}/none.sqlite3",
        }
        subprocess.run(command + ([str(most)] if most else []), cwd=ROOT, env=env, check=True)
        shutil.move(made, kept.with_suffix(".part"))
    kept.with_suffix(".part").replace(kept)


def _sources() -> str:
    """A hash of everything that decides what a widget shows, besides the notebook."""
    files = [p for p in sorted((ROOT / "fedcore").rglob("*")) if p.suffix in (".py", ".pyx", ".h")]
    files += sorted((ROOT / "fedcore/lab").glob("*/*.json")) + sorted(
        (ROOT / "fedcore/lab").glob("*.json")
    )
    files += [HERE / name for name in ("capture.py", "slices.py", "states.py", "grids.json")]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


# -------------------------------------------------------------------------------------- pages


class _Site:
    def __init__(self, out: Path, all_pages: list[Page]):
        self._out, self._pages = out, all_pages
        loader = jinja2.FileSystemLoader(HERE / "templates")
        self._template = jinja2.Environment(loader=loader, autoescape=True).get_template(
            "page.html"
        )
        self._groups = [
            (name, [p for p in all_pages if p.kind == kind]) for kind, name in GROUPS.items()
        ]

    def write(self, href: str, title: str, body: Body, more: list[str] | None = None) -> None:
        hrefs = [page.href for page in self._pages]
        at = hrefs.index(href) if href in hrefs else None
        widgets = ["quiz_marks.js", *(f"widget-{kind}.js" for kind in sorted(body.kinds))]
        html = self._template.render(
            course=COURSE,
            title=title,
            href=href,
            body=Markup(body.html),
            toc=[
                (name, prose.plain_text(text)) for level, name, text in body.headings if level == 2
            ],
            groups=self._groups,
            before=self._pages[at - 1] if at else None,
            after=self._pages[at + 1] if at is not None and at + 1 < len(hrefs) else None,
            scripts=["site.js", *(widgets if body.kinds else [])],
        )
        if more:  # after the body that they work on
            scripts = "".join(f'<script src="assets/{name}"></script>\n' for name in more)
            html = html.replace("</body>", f"{scripts}</body>")
        _write(self._out / href, html.encode())
        for path, content in body.files.items():
            _write(self._out / path, content)


SEARCH = """<h1>Search</h1>
<form class="search" role="search"><input type="search" name="q" aria-label="Search all pages">
<button type="submit">Search</button></form>
<noscript><p>The search needs JavaScript.</p></noscript>
<p id="count" role="status"></p>
<ol id="results"></ol>"""


def binder(page: Page | None) -> str:
    """Where the README's badge leads, for ``page``; '' while it names no repository."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"\((https://mybinder\.org/v2/gh/[^/)]+/[^/)]+/[^/?)]+)[^)]*\)", readme)
    if not found or "OWNER/REPOSITORY" in found[1]:
        return ""
    return f"{found[1]}?urlpath=lab/tree/{page.source if page else 'notebooks/00_start_here.ipynb'}"


def run_note(page: Page | None) -> str:
    """How to run what a page shows."""
    file = f", then open <code>{escape(page.source)}</code>" if page else ""
    address = binder(page)
    online = (
        f' Or <a href="{escape(address)}">in the browser, on Binder</a>.'
        if address
        else " Or in the browser on Binder, by the badge in the README of the repository."
    )
    saved = "This page shows a saved run. " if page and page.kind != "exercise" else ""
    saved = "You solve and check this in JupyterLab. " if page and not saved else saved
    return (
        f'<aside class="run" id="run-it" aria-label="How to run it"><p>{saved}<b>Run it:</b> '
        f"<code>make lab</code> in a copy of the course{file}.{online}</p></aside>"
    )


def _with_run_note(page: Page, html: str) -> str:
    head, end, rest = html.partition("</h1>")
    return f"{head}{end}\n{run_note(page)}{rest}"


def _start_page(all_pages: list[Page]) -> Body:
    """From the README: what it is, the picture, the lessons."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    intro, lessons = readme.split("\n## Start\n")[0], _section(readme, "The lessons")
    body = Body()

    def picture(url: str) -> str:
        path = f"figures/{Path(url).name}"
        body.files[path] = (ROOT / url).read_bytes()
        return path

    links = Links(all_pages, "README.md")
    html, _ = prose.markdown(intro, links, picture)
    more, body.headings = prose.markdown(f"## The lessons\n{lessons}", links, picture)
    body.html = html + run_note(None) + more
    return body


def _section(text: str, heading: str) -> str:
    found = re.search(rf"^## {heading}\n(.*?)(?=^## )", text, re.M | re.S)
    if not found:
        raise ValueError(f"README.md must have a section {heading!r}, found none")
    return found[1]


def _licences(all_pages: list[Page]) -> Body:
    parts = ["<h1>Licences and sources</h1>"]
    for name in LICENCES:
        text = (ROOT / name).read_text(encoding="utf-8")
        if name.endswith(".md"):
            html, _ = prose.markdown(
                re.sub(r"^#", "##", text, flags=re.M), Links(all_pages, name), str
            )
            parts.append(html)
        else:
            parts.append(
                f'<h2 id="{name}">{name}</h2><pre class="out" tabindex="0">{escape(text)}</pre>'
            )
    return Body("\n".join(parts))


# ------------------------------------------------------------------------------------- assets


def _assets(out: Path, kinds: set[str]) -> None:
    assets = out / "assets"
    for name in ("site.js", "quiz_marks.js", "search.js", "icon.svg"):
        _write(assets / name, (HERE / "static" / name).read_bytes())
    dark = prose.highlight_css("github-dark", ".code")
    css = [(HERE / "static/site.css").read_text(encoding="utf-8")]
    css += [prose.highlight_css("xcode", ".code")]
    css += [f"@media (prefers-color-scheme: dark) {{\n{dark}\n}}"]
    css += [p.read_text(encoding="utf-8") for p in sorted(LAB.glob("*.css"), key=_lab_first)]
    _write(assets / "site.css", "\n".join(css).encode())
    classes = _widget_classes(anywidget.AnyWidget)
    for kind in sorted(kinds):
        _write(assets / f"widget-{kind}.js", _classic(kind, str(classes[kind]._esm)).encode())


def _lab_first(path: Path) -> tuple[bool, str]:
    return path.name != "lab.css", path.name


def _classic(kind: str, module: str) -> str:
    """A module as a script that a page on disk may load: it hands over what it exported."""
    if module.count("export ") != 1 or EXPORT not in module:
        raise ValueError(f"{kind} must end with {EXPORT!r} and export nothing else")
    hand_over = f'fedcoreSite.define("{kind}", {{ render }});'
    return f"(() => {{\n{module.replace(EXPORT, hand_over)}\n}})();\n"


def _widget_classes(base: type) -> dict[str, type]:
    found = {}
    for cls in base.__subclasses__():
        found |= {cls.__name__: cls} | _widget_classes(cls)
    return {
        name: cls for name, cls in found.items() if cls.__module__.startswith(fedcore.lab.__name__)
    }


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
