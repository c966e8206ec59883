"""The licence of the text of which excerpts would be published."""

import re

from cratelm.corpus.packaged import PACKAGED
from cratelm.errors import InputError

IDENTIFIERS = (
    "afl-3.0",
    "agpl-3.0",
    "apache-2.0",
    "artistic-2.0",
    "bsd-2-clause",
    "bsd-3-clause",
    "bsl-1.0",
    "cc-by-2.0",
    "cc-by-3.0",
    "cc-by-4.0",
    "cc-by-nc-4.0",
    "cc-by-nc-nd-4.0",
    "cc-by-nc-sa-4.0",
    "cc-by-nd-4.0",
    "cc-by-sa-3.0",
    "cc-by-sa-4.0",
    "cc0-1.0",
    "gfdl",
    "gpl-2.0",
    "gpl-3.0",
    "isc",
    "lgpl-3.0",
    "mit",
    "mpl-2.0",
    "odbl",
    "odc-by",
    "pddl",
    "unlicense",
)
"""Licences that the hub knows by name; of any other it wants the name apart.

Source: huggingface.co/docs/hub/repositories-licenses.
"""


def licence_of(corpus: str | None, given: str | None, excerpts: bool) -> str | None:
    """Under which licence text of `corpus` may be published; None where it is unknown and no `excerpts` of it are sent.

    `given` is what the user says it is. Raises InputError where the text is known not to be published, or excerpts
    would be sent of text whose licence nobody has said.
    """
    packaged = PACKAGED.get(corpus or "")
    if packaged is not None and packaged.licence is None:
        if excerpts:
            raise InputError(
                f"the text of the corpus {corpus} belongs to its authors, and excerpts of it may not be published: "
                "nothing was sent. Push a model alone, or the results on another corpus."
            )
        return None
    known = given or (None if packaged is None else packaged.licence)
    if known is None and excerpts:
        raise InputError(
            "what would be sent holds excerpts of a text whose licence is not known. Name it, if the text may be "
            "published at all: --licence CC-BY-4.0."
        )
    return known


def licence_lines(licence: str | None) -> list[str]:
    """The licence in a card's head, as the hub reads it; no line where it is unknown."""
    if licence is None:
        return []
    if licence.lower() in IDENTIFIERS:
        return [f"license: {licence.lower()}"]
    return ["license: other", f"license_name: {re.sub('[^a-z0-9.]+', '-', licence.lower()).strip('-')}"]
