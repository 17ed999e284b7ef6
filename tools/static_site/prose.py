"""Markdown of the course as HTML: maths as MathML, links into the site, headings with anchors."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape, unescape

from latex2mathml.converter import convert
from nbconvert.filters.ansi import ansi2html
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from .course import Links

TAG = re.compile(r"<[^>]+>")
WITHIN = re.compile(r"</?(?:a|b|code|em|i|span|strong)\b[^>]*>")  # that part no words


def plain_text(html: str) -> str:
    """``html`` without its tags; what only eyes or only machines read is left out."""
    html = re.sub(r"<annotation\b.*?</annotation>|<style\b.*?</style>", "", html, flags=re.S)
    return " ".join(unescape(TAG.sub(" ", WITHIN.sub("", html))).split())


def mathml(tex: str, block: bool = False) -> str:
    """TeX as MathML with the TeX as its annotation; ValueError for a command that is not known."""
    made = convert(tex.strip(), display="block" if block else "inline")
    if "\\" in made:
        raise ValueError(f"maths must use commands that latex2mathml knows, got {tex!r}")
    note = f'<annotation encoding="application/x-tex">{escape(tex.strip())}</annotation>'
    opening, body, _ = re.fullmatch(r"(<math[^>]*>)(.*)(</math>)", made, re.S).groups()
    return f"{opening}<semantics>{body}{note}</semantics></math>"


def python(code: str) -> str:
    """Python as highlighted HTML, to be read with ``highlight_css``."""
    return highlight(code, PythonLexer(), HtmlFormatter(nowrap=True))


def highlight_css(style: str, scope: str) -> str:
    """The rules of a pygments style, for code inside ``scope``."""
    rules = HtmlFormatter(style=style).get_style_defs(scope).splitlines()
    return "\n".join(rule for rule in rules if rule.startswith(f"{scope} ."))


def terminal(text: str) -> str:
    """What a program printed, with its colours, as HTML."""
    return ansi2html(text)


class _Renderer(IPythonRenderer):
    """Python's side of mistune: one method for each thing that the site writes in its own way."""

    def __init__(self, links: Links, picture: Callable[[str], str]):
        super().__init__(escape=False, exclude_anchor_links=True)
        self._links, self._picture = links, picture
        self.headings: list[tuple[int, str, str]] = []  # (level, anchor, HTML)

    def heading(self, text, level, **attrs):
        name = plain_text(text).replace(" ", "-")
        self.headings.append((level, name, text))
        if level == 1:
            return f'<h1 id="{escape(name)}">{text}</h1>\n'
        mark = f'<a class="anchor" href="#{escape(name)}" aria-label="Link to this section">#</a>'
        return f'<h{level} id="{escape(name)}">{text} {mark}</h{level}>\n'

    def link(self, text, url, title=None):
        target = self._links.resolve(url)
        if target is None:  # a file of the repository that has no page here
            return text
        return f'<a href="{escape(target)}">{text}</a>'

    def image(self, text, url, title=None):
        alt = escape(" ".join(plain_text(text).split()))
        return f'<img src="{escape(self._picture(url))}" alt="{alt}" loading="lazy">'

    def block_code(self, code, info=None):
        shown = python(code) if (info or "").strip().startswith("python") else escape(code)
        return f'<pre class="code" tabindex="0"><code>{shown}</code></pre>\n'

    def block_math(self, body):
        return f'<div class="maths" tabindex="0">{mathml(body, block=True)}</div>'

    def inline_math(self, body):
        return mathml(body)


def markdown(
    source: str, links: Links, picture: Callable[[str], str]
) -> tuple[str, list[tuple[int, str, str]]]:
    """(HTML, headings as (level, anchor, HTML)); ``picture`` gives an image's address."""
    renderer = _Renderer(links, picture)
    html = MarkdownWithMath(renderer).render(source)
    html = html.replace("<table>", '<div class="wide" tabindex="0"><table>')
    return html.replace("</table>", "</table></div>"), renderer.headings
