"""The index that the site's search reads: one entry for each section of each page."""

from __future__ import annotations

import json
import re

from .prose import plain_text

HEADING = re.compile(r'(?=<h[1-4] id=")')


def entries(href: str, title: str, html: str) -> list[dict[str, str]]:
    """[{u: address, t: page, h: heading, x: text}] of a page's body, in its order."""
    html = re.sub(r"<(script|noscript)\b.*?</\1>", " ", html, flags=re.S)
    html = re.sub(r'<a class="anchor".*?</a>', "", html)
    found = []
    for part in HEADING.split(html):
        head = re.match(r'<h[1-4] id="([^"]+)">(.*?)</h[1-4]>', part, re.S)
        anchor, heading = (f"#{head[1]}", plain_text(head[2])) if head else ("", title)
        text = plain_text(part[head.end() :] if head else part)
        if text or head:
            found.append({"u": href + anchor, "t": title, "h": heading, "x": text})
    return found


def index_script(found: list[dict[str, str]]) -> str:
    """A script, not JSON to be fetched: it loads from a folder on disk too."""
    text = json.dumps(found, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return f"fedcoreSite.index({text});\n"
