"""The documentation as a site: `make docs`. Pages are Markdown; the interface and the commands come from the code."""

import re
from pathlib import Path
from typing import Any

from docutils.nodes import Element, SkipNode
from latex2mathml.converter import convert
from sphinx.application import Sphinx

from cratelm import __version__
from cratelm.cli import app

project = "cratelm"
copyright = "the cratelm authors"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_member_order = "bysource"
html_theme = "furo"
html_title = "cratelm"
html_math_renderer = "mathml"
exclude_patterns = ["_commands.md"]


def _with_example(heading: re.Match[str]) -> str:
    return f"{heading[0]}\n\n{app[heading[1]].help_epilogue}"


# Included by commands.md. cyclopts leaves out what ends a command's help: its example.
_pages = app.generate_docs(output_format="markdown", heading_level=2)
_pages = re.sub(r"^#+ cratelm (\w+)$", _with_example, _pages, flags=re.MULTILINE)
Path(__file__).with_name("_commands.md").write_text(_pages)


def _math(display: str) -> Any:
    def visit(writer: Any, node: Element) -> None:
        writer.body.append(convert(node.astext(), display=display))
        raise SkipNode

    return visit


def setup(sphinx: Sphinx) -> None:
    """Formulas become MathML, which browsers draw without a script from elsewhere."""
    sphinx.add_html_math_renderer("mathml", (_math("inline"), None), (_math("block"), None))
