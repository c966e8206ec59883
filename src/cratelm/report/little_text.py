"""The warning of scores that come from so little text that nothing can be read from them."""

from typing import Any

from cratelm.artifacts import Artifact, read_json
from cratelm.protocols import PROTOCOLS
from cratelm.records.store import read_protocol

FEWEST_SCORED_TOKENS = 20_000
"""In fewer tokens than this, a unit that fires on one token in a thousand fires less than twenty times."""
FEWEST_SCORED_DOCUMENTS = 20
"""Fewer documents than this are so few writers and subjects that units are measured on those."""


def scored_text(records: Artifact) -> dict[str, int]:
    """How many `tokens` in how many `documents` the units of a recording are scored on."""
    half = read_json(records.path / "records.json")["halves"][PROTOCOLS[read_protocol(records)].scored_on]
    return {name: half[name] for name in ("tokens", "documents")}


def little_text(scored: dict[str, Any]) -> list[str]:
    """One sentence where the text that `scored_text` found is too little, and none otherwise."""
    if scored["tokens"] >= FEWEST_SCORED_TOKENS and scored["documents"] >= FEWEST_SCORED_DOCUMENTS:
        return []
    documents = f"{scored['documents']:,} document" + ("s" if scored["documents"] != 1 else "")
    return [
        f"The units were scored on {scored['tokens']:,} tokens in {documents} alone: too few to read anything from the "
        f"scores. Record at least {FEWEST_SCORED_TOKENS:,} tokens in {FEWEST_SCORED_DOCUMENTS} documents on each side."
    ]
