"""The warnings of numbers that come from too little text."""

from typing import Any

from cratelm.artifacts import Artifact, read_json
from cratelm.protocols import PROTOCOLS
from cratelm.records.store import read_protocol

FEWEST_SCORED_TOKENS = 20_000
"""In fewer tokens than this, a unit that fires on one token in a thousand fires less than twenty times."""
FEWEST_SCORED_DOCUMENTS = 20
"""Fewer documents than this are so few writers and subjects that units are measured on those."""


FEWEST_PAIRED = 0.99
"""Of the tokens. Units that are functions of the token, with a share of 1, are found to have 0.88 to 0.94 at 0.94."""


def scored_text(records: Artifact) -> dict[str, int]:
    """How many `tokens` in how many `documents` the units of a recording are scored on, and how many of the tokens are
    `paired_tokens`, which token shares come from; recordings of earlier versions do not say the last."""
    half = read_json(records.path / "records.json")["halves"][PROTOCOLS[read_protocol(records)].scored_on]
    return {name: half[name] for name in ("tokens", "documents", "paired_tokens") if name in half}


def little_text(scored: dict[str, Any]) -> list[str]:
    """A sentence for each thing that the text which `scored_text` found is too little for."""
    return [*_few_tokens(scored), *_unpaired(scored)]


def _few_tokens(scored: dict[str, Any]) -> list[str]:
    if scored["tokens"] >= FEWEST_SCORED_TOKENS and scored["documents"] >= FEWEST_SCORED_DOCUMENTS:
        return []
    documents = f"{scored['documents']:,} document" + ("s" if scored["documents"] != 1 else "")
    return [
        f"The units were scored on {scored['tokens']:,} tokens in {documents} alone: too few to read anything from the "
        f"scores. Record at least {FEWEST_SCORED_TOKENS:,} tokens in {FEWEST_SCORED_DOCUMENTS} documents on each side."
    ]


def _unpaired(scored: dict[str, Any]) -> list[str]:
    paired = scored.get("paired_tokens", scored["tokens"])
    if paired >= FEWEST_PAIRED * scored["tokens"]:
        return []
    unpaired = 1 - paired / scored["tokens"]
    return [
        f"The token shares are too low, most for units that fire on rare tokens: {unpaired:.0%} of the scored text are "
        "tokens that only one of its two parts holds, and no share can be seen there. Record more text."
    ]
