"""Check a built site: internal links and anchors lead somewhere, nothing comes from elsewhere."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from posixpath import normpath
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []  # to follow
        self.parts: list[str] = []  # that the page is made of

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if found.get("id"):
            self.ids.append(found["id"])
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag in ("img", "script") and "src" in found:
            self.parts.append(found["src"])
        elif tag == "link" or (tag == "form" and "action" in found):
            self.parts.append(found["href" if tag == "link" else "action"])


def problems(folder: Path) -> list[str]:
    """One line for each link of the pages in ``folder`` that is wrong; [] if all is well."""
    pages = {path.name: _read(path) for path in sorted(folder.glob("*.html"))}
    found = []
    for name, page in pages.items():
        found += [f"{name}: id {i!r} twice" for i in {i for i in page.ids if page.ids.count(i) > 1}]
        found += [f"{name}: {url!r}: {p}" for url in page.links if (p := _link(url, name, pages))]
        for url in page.parts:
            if urlsplit(url).scheme or url.startswith("//"):
                found.append(f"{name}: {url!r}: comes from another host")
            elif not (folder / normpath(unquote(urlsplit(url).path))).is_file():
                found.append(f"{name}: {url!r}: no such file")
    return sorted(found)


def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def _link(url: str, name: str, pages: dict[str, _Page]) -> str | None:
    """What is wrong with a link; None if nothing is. Other hosts: only how it is written."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        return str(error)
    if parts.scheme or parts.netloc:
        good = parts.scheme in ("http", "https") and "." in parts.netloc and " " not in url
        return None if good else "not a well-formed address"
    target = unquote(parts.path) or name
    if target not in pages:
        return "no such page"
    if parts.fragment and unquote(parts.fragment) not in pages[target].ids:
        return "no such anchor"
    return None
