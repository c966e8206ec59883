"""A page's contents: a link to each of its sections."""

import re

HERE = "<!-- contents -->"
"""What stands in the template where the contents belong."""
HEADING = re.compile(r"<h2>(.+?)</h2>")


def with_contents(page: str) -> str:
    """The page with an anchor for each section, and a list of links to them; text of data is escaped, so holds none."""
    titles = HEADING.findall(page)
    links = "\n".join(f'<a href="#{anchor(title)}">{title}</a>' for title in titles)
    anchored = HEADING.sub(lambda found: f'<h2 id="{anchor(found[1])}">{found[1]}</h2>', page)
    return anchored.replace(HERE, f'<nav class="contents" aria-label="Contents">\n{links}\n</nav>', 1)


def anchor(title: str) -> str:
    """A title as a part of an address."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
