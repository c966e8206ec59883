"""The headings under which `--help` lists the settings of several stages."""

from cyclopts import Group

_HEADINGS = (
    "Text",
    "Shape",
    "Training",
    "Recording",
    "Explaining",
    "Scoring",
    "Effects",
    "Language model",
    "Autoencoders",
    "Report",
)
GROUPS = {name: Group.create_ordered(name) for name in _HEADINGS}
"""By heading, in this order."""
