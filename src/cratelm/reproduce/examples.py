"""What a trained model's units look like: cards drawn at random and of the best, next words, units turned up."""

from dataclasses import asdict
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from cratelm.artifacts import Artifact
from cratelm.corpus.tokenizer import token_texts
from cratelm.corpus.tokens import read_tokenizer
from cratelm.records.store import read_units
from cratelm.report.cards import Card, Token, make_card
from cratelm.report.measured import Measured
from cratelm.seeds import derive_seed
from cratelm.training.evaluate_texts import open_language_model
from cratelm.training.heldout_loss import Validation
from cratelm.units.clamp import Clamp, clamped
from cratelm.units.sites import find_sites
from cratelm.units.steer import next_words, steer

DRAWN, BEST = 3, 2
"""Units of a model that are shown: uniformly drawn from all layers, and those with the highest random-only scores."""
PROMPTS = ("They saw some boats on the", "Beijing is the capital of", "The film was")
"""The paper's two prompts for the next word, and one of the corpus's own kind, which units are turned on too."""
WORDS = 5
STRENGTHS = (1.0, 4.0)
"""Multiples of a unit's recorded maximum that it is held at."""
DOCUMENTS = 20
"""Validation documents that the damage of steering is measured on."""
Unit = tuple[int, int]


def measure_examples(measured: Measured, tokens: Artifact, seed: int) -> dict[str, Any]:
    """Cards, next words, and what the drawn units do when they are turned up."""
    drawn, best = _drawn(measured, seed), _best(measured)
    texts = token_texts(read_tokenizer(tokens))
    network, tokenizer = open_language_model(measured.model.path)
    return {
        "cards": [
            _card(make_card(measured, unit, texts)) | {"chosen": chosen}
            for chosen, units in (("drawn", drawn), ("best", best))
            for unit in units
        ],
        "next_words": {prompt: next_words(network, tokenizer, prompt, WORDS) for prompt in PROMPTS},
        "turned": _turned(measured, drawn, network, tokenizer, Validation(tokens)),
    }


def _drawn(measured: Measured, seed: int) -> list[Unit]:
    every = [(layer, unit) for layer, units in enumerate(measured.layers) for unit in range(units)]
    generator = np.random.default_rng(derive_seed(seed, "examples", measured.name))
    return [every[place] for place in np.sort(generator.choice(len(every), DRAWN, replace=False))]


def _best(measured: Measured) -> list[Unit]:
    units = measured.units
    rows = np.flatnonzero(measured.rows("table", "random-only", None) & (units["status"] == "scored"))
    order = np.lexsort((units["unit"][rows], units["layer"][rows], -units["score"][rows]))[:BEST]
    return [(int(units["layer"][row]), int(units["unit"][row])) for row in rows[order]]


def _card(card: Card) -> dict[str, Any]:
    """A card as plain data, its excerpts in a line each."""
    return asdict(card) | {"excerpts": [{"kind": kind, "text": _marked(found)} for kind, found in card.excerpts]}


def _marked(excerpt: list[Token]) -> str:
    """The excerpt with strengths from 1 to 9, the card's highest activation, on the tokens that have one."""
    strengths = [round(9 * token.share) for token in excerpt]
    pairs = zip(excerpt, strengths, strict=True)
    return "".join(f"[{token.text}¦{strength}]" if strength else token.text for token, strength in pairs)


def _turned(
    measured: Measured,
    units: list[Unit],
    network: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    validation: Validation,
) -> list[dict[str, Any]]:
    """Each unit held at multiples of its maximum: the next words that it raises, and what that costs elsewhere."""
    sites = find_sites(network)
    unsteered = validation.losses(network, DOCUMENTS).nats_per_token
    found = []
    for layer, unit in units:
        highest = float(read_units(measured.records, layer, "explain")["maximum"][unit])
        for strength in STRENGTHS:
            clamps = [Clamp(layer=layer, unit=unit, operation="set", value=strength * highest)]
            said = steer(network, tokenizer, sites, clamps, PROMPTS[-1], count=WORDS, new_tokens=12)
            with clamped(network, sites, clamps):
                damage = validation.losses(network, DOCUMENTS).nats_per_token - unsteered
            raised = [(change.token, change.before, change.after) for change in said.raised]
            row = {"layer": layer, "unit": unit, "strength": strength, "value": strength * highest, "raised": raised}
            found.append(row | {"damage": damage, "continuation": said.steered_continuation})
    return found
