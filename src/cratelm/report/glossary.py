"""The words of tables, reports and the viewer, explained: glossary.toml is the only place where they are.

python -m cratelm.report.glossary    writes docs/glossary.md to stdout
"""

import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from markupsafe import Markup, escape


@dataclass(frozen=True)
class Term:
    """A word as tables show it, what it means, and the page under docs/ that says more."""

    name: str
    says: str
    more: str

    @property
    def place(self) -> str:
        """Where it is on a page, as the part of an address after #."""
        return self.name.replace(" ", "-")


@cache
def glossary() -> dict[str, Term]:
    """All terms by name, in the order of reading."""
    text = files("cratelm.report").joinpath("glossary.toml").read_text(encoding="utf-8")
    return {term["name"]: Term(**term) for term in tomllib.loads(text)["term"]}


def term_button(name: str, shown: str | None = None) -> Markup:
    """A word on a page, by default the term itself, that opens what the glossary says; other words are plain text."""
    term = glossary().get(name)
    text = escape(shown or name)
    if term is None:  # a metric or an explainer of another package
        return text
    return Markup('<button class="term" popovertarget="term-{}" title="{}">{}</button>').format(
        term.place, term.says, text
    )


def glossary_page() -> str:
    """docs/glossary.md: the terms by the alphabet."""
    terms = sorted(glossary().values(), key=lambda term: term.name)
    entries = "\n".join(f"- **{term.name}**: {term.says} [More]({term.more})" for term in terms)
    return f"# Glossary\n\nThe words that reports, the viewer and the other pages use.\n\n{entries}\n"


if __name__ == "__main__":
    sys.stdout.write(glossary_page())
