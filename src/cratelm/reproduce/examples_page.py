"""The part of the page that shows units: cards, next words, units turned up; of one cell a model, as they came out."""

from typing import Any

from cratelm.report.text import visible
from cratelm.reproduce.gather import Result, Results
from cratelm.reproduce.matrix import PAIR
from cratelm.reproduce.tables import Table

CHOSEN = {"drawn": "Drawn at random from all layers", "best": "The best by random-only: chosen, and far above the mean"}
LAYERS = 2


def shown_cells(results: Results) -> list[Result]:
    """The first seed of each of the two models, at two layers."""
    found = [results.main(layers=LAYERS, model=model) for model in PAIR]
    return [cells[0] for cells in found if cells]


def cards(results: Results) -> str:
    """Every card, under how it was chosen. On its excerpts `[token¦9]` is the unit's highest activation of the card."""
    lines = []
    for result in shown_cells(results):
        for chosen, title in CHOSEN.items():
            lines += [f"**{result['cell']['model']}**. {title}:", ""]
            lines += [line for card in result["examples"]["cards"] if card["chosen"] == chosen for line in _card(card)]
            lines.append("")
    return "\n".join(lines)


def _card(card: dict[str, Any]) -> list[str]:
    scores = ", ".join(f"{metric} {score}" for metric, score in card["scores"].items())
    head = f"- {_code(card['address'])} ({card['status']}; {scores}): {_code(card['explanation'])}"
    return [head, *(f"  - {one['kind']}: {_code(one['text'])}" for one in card["excerpts"])]


def next_words(results: Results) -> Table:
    """The likeliest next words behind each prompt."""
    rows = [
        [
            _code(prompt),
            result["cell"]["model"],
            ", ".join(f"{_code(word)} {100 * share:.1f}%" for word, share in words),
        ]
        for result in shown_cells(results)
        for prompt, words in result["examples"]["next_words"].items()
    ]
    return ["prompt", "model", "next"], sorted(rows)


def turned(results: Results) -> Table:
    """Units that were drawn, held at multiples of their maximum at every place."""
    rows = [
        [
            _code(f"{result['cell']['model']}/{row['layer']}/{row['unit']}"),
            f"{row['strength']:g} × max",
            ", ".join(f"{_code(word)} {100 * before:.2g}→{100 * after:.2g}%" for word, before, after in row["raised"]),
            f"{row['damage']:+.3f}",
        ]
        for result in shown_cells(results)
        for row in result["examples"]["turned"]
    ]
    return ["unit", "held at", "next words raised most, behind `The film was`", "nats a token elsewhere"], rows


def _code(text: str) -> str:
    """Text of data as code, in which nothing of it has a meaning; a bar would end a table's cell."""
    shown = visible(text).replace("`", "ˋ").replace("|", "¦")
    return f"`{shown if shown.strip() else '␣'}`"
