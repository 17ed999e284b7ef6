"""Which pages the site has, in which order, and where a link of a notebook leads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from posixpath import normpath

ROOT = Path(__file__).resolve().parent.parent.parent
REFERENCE = ("glossary", "faq", "inside_the_kernel")
LICENCES = ("LICENSE", "LICENSE-TEXT", "fedcore/data/README.md")


@dataclass(frozen=True)
class Page:
    """A notebook that becomes a page. source: relative to the root, with forward slashes."""

    source: str
    kind: str  # "lesson", "exercise" or "reference"
    root: Path = ROOT

    @cached_property
    def notebook(self) -> dict:
        """The notebook as stored."""
        return json.loads((self.root / self.source).read_text(encoding="utf-8"))

    @property
    def stem(self) -> str:
        """Name without suffix: '02_fedavg'."""
        return PurePosixPath(self.source).stem

    @property
    def slug(self) -> str:
        """Name of the page's file without suffix, unique in the site."""
        return f"exercise_{self.stem}" if self.kind == "exercise" else self.stem

    @property
    def href(self) -> str:
        """The page, as seen from every other page: all lie in one folder."""
        return f"{self.slug}.html"

    @property
    def title(self) -> str:
        """Text of the first heading."""
        for cell in self.notebook["cells"]:
            for line in "".join(cell["source"]).splitlines():
                if cell["cell_type"] == "markdown" and line.startswith("# "):
                    return line[2:].strip()
        raise ValueError(f"{self.source} must begin with a heading, found none")


def pages(root: Path = ROOT) -> list[Page]:
    """Lessons in order, exercises, then reference pages: those that are there."""
    lessons = sorted(p.name for p in (root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    found = [Page(f"notebooks/{name}", "lesson", root) for name in lessons]
    folders = sorted(p.name for p in (root / "exercises").iterdir() if p.is_dir())
    found += [Page(f"exercises/{n}/{n}.ipynb", "exercise", root) for n in folders]
    there = [n for n in REFERENCE if (root / f"notebooks/{n}.ipynb").is_file()]
    return found + [Page(f"notebooks/{n}.ipynb", "reference", root) for n in there]


class Links:
    """Where the links of one source lead in the site. Files without a page lead nowhere."""

    def __init__(self, all_pages: list[Page], source: str):
        self._folder = str(PurePosixPath(source).parent)
        self._href = {page.source: page.href for page in all_pages}
        self._href |= dict.fromkeys(LICENCES, "licences.html") | {"README.md": "index.html"}

    def resolve(self, url: str) -> str | None:
        """The address to write for ``url``; None for a file of the repository without a page."""
        if url.startswith(("http://", "https://", "mailto:", "#")):
            return url
        path, _, anchor = url.partition("#")
        href = self._href.get(normpath(f"{self._folder}/{path}"))
        return href and (f"{href}#{anchor}" if anchor else href)
