"""What a trained model's units look like: cards drawn at random and of the best, next words, units turned up; measured
in a cell, and shown of one cell a model."""

from dataclasses import asdict
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from cratelm.artifacts import Artifact
from cratelm.corpus.read_tokens import read_tokenizer
from cratelm.corpus.token_text import token_texts
from cratelm.protocols import ENDPOINT
from cratelm.records.store import read_units
from cratelm.report.cards import Card, Token, make_card
from cratelm.report.measured import Measured
from cratelm.report.text import visible
from cratelm.reproduce.matrix import DESIGNS_AT, PAIR
from cratelm.reproduce.page import NOT_RUN, Comparison
from cratelm.reproduce.results import Results, Table
from cratelm.reproduce.store import Result
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
    rows = np.flatnonzero(measured.rows(*ENDPOINT, None) & (units["status"] == "scored"))
    order = np.lexsort((units["unit"][rows], units["layer"][rows], -units["score"][rows]))[:BEST]
    return [(int(units["layer"][row]), int(units["unit"][row])) for row in rows[order]]


def _card(card: Card) -> dict[str, Any]:
    """A card as plain data, its excerpts in a line each."""
    return asdict(card) | {"excerpts": [{"kind": kind, "text": _marked(tokens)} for kind, tokens in card.excerpts]}


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
    rows = []
    for layer, unit in units:
        highest = float(read_units(measured.records, layer, "explain")["maximum"][unit])
        for strength in STRENGTHS:
            clamps = [Clamp(layer=layer, unit=unit, operation="set", value=strength * highest)]
            said = steer(network, tokenizer, sites, clamps, PROMPTS[-1], count=WORDS, new_tokens=12)
            with clamped(network, sites, clamps):
                damage = validation.losses(network, DOCUMENTS).nats_per_token - unsteered
            raised = [(change.token, change.before, change.after) for change in said.raised]
            row = {"layer": layer, "unit": unit, "strength": strength, "value": strength * highest, "raised": raised}
            rows.append(row | {"damage": damage, "continuation": said.steered_continuation})
    return rows


CHOSEN = {"drawn": "Drawn at random from all layers", "best": "The best by random-only: chosen, and far above the mean"}


def shown_cells(results: Results) -> list[Result]:
    """The first seed of each of the two models, at DESIGNS_AT layers."""
    by_model = [results.main(layers=DESIGNS_AT, model=model) for model in PAIR]
    return [cells[0] for cells in by_model if cells]


def cards(results: Results) -> str:
    """Every card, under how it was chosen. On its excerpts `[token¦9]` is the unit's highest activation of the card."""
    lines = []
    for result in shown_cells(results):
        for chosen, title in CHOSEN.items():
            lines += [f"**{result['cell']['model']}**. {title}:", ""]
            lines += [
                line for card in result["examples"]["cards"] if card["chosen"] == chosen for line in _card_lines(card)
            ]
            lines.append("")
    return "\n".join(lines)


def _card_lines(card: dict[str, Any]) -> list[str]:
    scores = ", ".join(f"{metric} {score}" for metric, score in card["scores"].items())
    head = f"- {as_code(card['address'])} ({card['status']}; {scores}): {as_code(card['explanation'])}"
    return [head, *(f"  - {excerpt['kind']}: {as_code(excerpt['text'])}" for excerpt in card["excerpts"])]


def word_table(results: Results) -> Table:
    """The likeliest next words after each prompt."""
    rows = [
        [
            as_code(prompt),
            result["cell"]["model"],
            ", ".join(f"{as_code(word)} {100 * share:.1f}%" for word, share in words),
        ]
        for result in shown_cells(results)
        for prompt, words in result["examples"]["next_words"].items()
    ]
    return ["prompt", "model", "next"], sorted(rows)


def turned(results: Results) -> Table:
    """Units that were drawn, held at multiples of their maximum at every place."""
    rows = [
        [
            as_code(f"{result['cell']['model']}/{row['layer']}/{row['unit']}"),
            f"{row['strength']:g} × max",
            ", ".join(
                f"{as_code(word)} {100 * before:.2g}→{100 * after:.2g}%" for word, before, after in row["raised"]
            ),
            f"{row['damage']:+.3f}",
        ]
        for result in shown_cells(results)
        for row in result["examples"]["turned"]
    ]
    return ["unit", "held at", f"next words raised most, after `{PROMPTS[-1]}`", "nats a token elsewhere"], rows


def as_code(text: str) -> str:
    """Text of data as code, in which nothing of it has a meaning; a bar would end a table's cell."""
    shown = visible(text).replace("`", "ˋ").replace("|", "¦")
    return f"`{shown if shown.strip() else '␣'}`"


WORDS_AFTER = Comparison(
    name="next-words",
    order=230,
    title="Next words",
    table=word_table,
    text=f"L = {DESIGNS_AT}, the first seed. The paper's first two prompts are of the Pile.",
)
TURNED = Comparison(
    name="turned",
    order=240,
    title="Units turned up",
    table=turned,
    text=f"""The units are those drawn for the cards below. The last column is what holding the unit there costs on
{DOCUMENTS} validation documents; the paper holds CRATE's units at 100 and an autoencoder's latents at 10, and ranks
logits.""",
)
CARDS = Comparison(
    name="units",
    order=250,
    title="Units",
    text=lambda results: (
        f"""{cards(results) or NOT_RUN}

On excerpts `[token¦9]` is the highest activation of the card, and an unmarked token has less than an eighteenth of
it."""
    ),
)
