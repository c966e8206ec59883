"""The documentation as a site: `make docs`. Pages are Markdown; the interface and the commands come from the code."""

from pathlib import Path

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
exclude_patterns = ["_commands.md"]

# Included by commands.md.
Path(__file__).with_name("_commands.md").write_text(app.generate_docs(output_format="markdown", heading_level=2))
