"""The viewer's own style sheet, cut down to what a notebook shows, and held inside its output."""

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

BOX = ".cratelm.cratelm"
"""Twice, so that these rules come before a notebook's own for tables."""
CLASSES = frozenset({"all", "at", "below", "bytes", "c1", "c2", "c3", "c4", "c5", "columns", "curves", "dashed", "dot"})
CLASSES |= {
    "excerpt",
    "explanations",
    "facts",
    "faint",
    "grid",
    "heat",
    "histogram",
    "interval",
    "lead",
    "legend",
    "meta",
}
CLASSES |= {"n", "ramp", "row", "scale", "scores", "scroll", "swatch", "t", "two", "written"}
"""The components that the views use."""
ELEMENTS = frozenset(
    {"article", "aside", "b", "caption", "circle", "dd", "dl", "dt", "em", "figcaption", "figure", "g"}
)
ELEMENTS |= {"h1", "h2", "li", "line", "ol", "p", "polyline", "rect", "section", "small", "span", "svg", "table", "td"}
ELEMENTS |= {"text", "th", "thead", "tr"}
RULE = re.compile(r"\s*([^{}]+?)\s*\{([^{}]*)\}")
MEDIA = re.compile(r"@media\s*(\([^{]*\))\s*\{((?:[^{}]*\{[^{}]*\})*\s*)\}")
LIGHT_NOTEBOOK = 'body[data-jp-theme-light="true"], body.vscode-light'
DARK_NOTEBOOK = '[data-jp-theme-light="false"], .vscode-dark'
OWN = (
    f"{BOX} {{ padding: 14px 18px; border: 1px solid var(--line); border-radius: 10px; overflow-x: auto; }}"
    f"{BOX} table {{ width: auto; }} {BOX} tr, {BOX} td, {BOX} th {{ background: none; text-align: left; }}"
    f"{BOX} td.n, {BOX} th.n {{ text-align: right; }}"
    f"{BOX} summary {{ cursor: pointer; color: var(--link); }} {BOX} details {{ margin: 8px 0; }}"
    f"{BOX} .excerpt {{ border: 0; border-top: 1px solid var(--line); }}"
)
"""What an output has that a page has not: an edge, and parts that fold."""


@cache
def style_sheet() -> str:
    """The rules as one element, for each output anew: a notebook may drop any of them."""
    css = (files("cratelm.viewer") / "static" / "app.css").read_text(encoding="utf-8")
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    plain = MEDIA.sub("", css)
    dark = [match for match in MEDIA.finditer(css) if "prefers-color-scheme" in match[1]]
    rules = [*_kept(plain), *(f"@media {match[1]} {{ {' '.join(_kept(match[2]))} }}" for match in dark)]
    return f"<style>{' '.join(rules)} {OWN}</style>"


def _kept(css: str) -> Iterator[str]:
    for selectors, body in RULE.findall(css):
        mine = [boxed for one in selectors.split(",") if (boxed := _boxed(one.strip()))]
        if mine:
            yield f"{', '.join(mine)} {{{body}}}"


def _boxed(selector: str) -> str | None:
    """A selector that holds inside an output alone; None for one that no view uses."""
    if selector.startswith(":root"):
        return _themed(selector)
    if selector == "body":
        return BOX
    if selector == "*":
        return f"{BOX} *"
    words = re.split(r"[\s>+]+", re.sub(r"\[[^]]*\]|::?[\w-]+(\([^)]*\))?", "", selector))
    classes = {name for word in words for name in re.findall(r"\.([\w-]+)", word)}
    elements = {word.split(".")[0] for word in words} - {"", "*"}
    return f"{BOX} {selector}" if classes <= CLASSES and elements <= ELEMENTS and ":hover" not in selector else None


def _themed(selector: str) -> str:
    """The colours of the page as those of the output: a notebook's own choice of light or dark has the last word."""
    if selector == ":root":
        return BOX
    if selector.startswith(":root:not("):
        return f":root:not(:has({LIGHT_NOTEBOOK})) {BOX}"
    return f":is({DARK_NOTEBOOK}) {BOX}"
