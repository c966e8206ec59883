"""The comparison in words: which model's units score higher, by how much, and what else differs between the models.

The terminal, the report and the viewer show these sentences.
"""

from typing import Any

from cratelm.protocols import ENDPOINT
from cratelm.report.little_text import little_text
from cratelm.report.number_text import estimate, p_value

Row = dict[str, Any]
FEWEST_TRAINED_TOKENS = 1_000_000
"""Models that were trained on fewer tokens than this show that the machinery works, and nothing about themselves."""


def headline(table: dict[str, Any]) -> list[str]:
    """Sentences about the endpoints of a report's table; where it compares nothing, about too little text alone."""
    # Reports of earlier versions do not say how much text was scored.
    warnings = [*_machinery(table), *(little_text(table["scored_text"]) if "scored_text" in table else [])]
    primary = next((row for row in table["differences"] if row["primary"]), None)
    if primary is None:
        return warnings
    # Reports of earlier versions do not mark the second endpoint.
    second = next((row for row in table["differences"] if row.get("second")), None)
    return [
        *warnings,
        _primary(primary),
        *_caveats(table, primary),
        f"This is the primary endpoint: {primary['metric']} by the explainer {ENDPOINT.explainer} †, mean over all "
        "layers, 95% interval.",
        *([_second(second)] if second else []),
    ]


def _machinery(table: dict[str, Any]) -> list[str]:
    """The warning of a study whose models have hardly been trained, such as one of the preset smoke."""
    seen = max((model["tokens"] for model in table["models"]), default=FEWEST_TRAINED_TOKENS)
    if seen >= FEWEST_TRAINED_TOKENS:
        return []
    return [
        f"This study checks that the machinery works and shows no result: its models saw only {seen:,} tokens of text."
    ]


def _primary(row: Row) -> str:
    sentence = f"{_leader(row)}'s units score {_lead(row)} higher than {_follower(row)}'s"
    return sentence + (". The interval contains 0: no difference is certain." if _uncertain(row) else ".")


def _second(row: Row) -> str:
    how = f"Over whole contexts instead of five excerpts ({row['metric']}, the second endpoint), "
    unsure = "the interval contains 0, " if _uncertain(row) else ""
    return f"{how}{_leader(row)}'s units score {_lead(row)} higher ({unsure}{p_value(row['p_holm'])} by Holm)."


def _caveats(table: dict[str, Any], row: Row) -> list[str]:
    """How well the leader predicts text, and how far its units depend on single tokens, next to the other model."""
    predicts, depends = _prediction(table, row), _dependence(table, row)
    if depends is None:
        return [f"{predicts}."] if predicts else []
    words, more = depends
    easier = more and not _uncertain(row)
    joined = f"{predicts}, and its units {words}." if predicts else f"{_leader(row)}'s units {words}."
    return [joined, *(["Such units are easier to explain: this can be much of the difference."] if easier else [])]


def _prediction(table: dict[str, Any], row: Row) -> str | None:
    losses = {model["model"]: model["validation_loss"] for model in table["models"]}
    ours, other = losses.get(_leader(row)), losses.get(_follower(row))
    if ours is None or other is None:  # latents have no row of their own
        return None
    apart = ours["low"] > other["high"] or ours["high"] < other["low"]
    how = "about as well" if not apart else "worse" if ours["mean"] > other["mean"] else "better"
    return f"{_leader(row)} predicts the text {how} ({ours['mean']:.2f} against {other['mean']:.2f} nats per token)"


def _dependence(table: dict[str, Any], row: Row) -> tuple[str, bool] | None:
    """How far the leader's units depend on the current token alone, and whether that is more than the other's."""
    rows = [found for found in table["rows"] if found["layer"] == "all" and found["metric"] == row["metric"]]
    shares = {found["model"]: found["token_share"] for found in rows}
    ours, other = shares.get(_leader(row)), shares.get(_follower(row))
    if ours is None or other is None:
        return None
    alike = f"{ours:.2f}" == f"{other:.2f}"
    how = "as much" if alike else "more" if ours > other else "less"
    words = f"depend {how} on the current token alone (token share {ours:.2f} against {other:.2f})"
    return words, how == "more"


def _leader(row: Row) -> str:
    return row["model"] if row["difference"]["mean"] >= 0 else row["rival"]


def _follower(row: Row) -> str:
    return row["rival"] if row["difference"]["mean"] >= 0 else row["model"]


def _lead(row: Row) -> str:
    """The difference with its interval, as the leader's."""
    value = row["difference"]
    if value["mean"] >= 0:
        return estimate(value)
    turned = {"mean": value["mean"], "low": value["high"], "high": value["low"]}
    return estimate({name: None if number is None else -number for name, number in turned.items()})


def _uncertain(row: Row) -> bool:
    value = row["difference"]
    return value["low"] is None or value["low"] <= 0 <= value["high"]
