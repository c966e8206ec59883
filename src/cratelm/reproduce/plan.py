"""What the cells take: hours of two cores for the laptop's, hours and dollars of GPUs for the paper's."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from cratelm.reproduce.matrix import RECORDED, SNAPSHOTS, TOKENIZER, Cell, paper
from cratelm.training.config import TrainConfig
from cratelm.training.cost import HARDWARE, plan

VOCABULARY = {TOKENIZER: 4096, "gpt2": 50257}
SPEED = 83e9
"""Operations a second of one core that trains a laptop model: 13,000 tokens for GPT-2 at L = 2 (docs/log.md)."""
POINT_SECONDS, PAPER_SECONDS, DICTIONARY_SECONDS = 27, 53, 150
"""A core's seconds for each layer of a laptop model: to record, explain, score and analyse its units at one point of
its training; to do so by the paper's protocol; to fit and to measure one dictionary on it. See docs/log.md."""
PRICES = {"A100": 2.0, "H100": 3.0, "8 x H100": 24.0}
"""Dollars an hour: an assumption, since clouds differ."""
READINGS, PAPER_READINGS = 4, 2
"""How often as many tokens as are recorded are read of a model at one point of its training: each half twice; by the
paper's protocol, which has no halves."""


def plan_laptop(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """A row for each group of cells: how many, and their hours on two cores, two cells side by side."""
    rows = []
    for group in dict.fromkeys(cell.group for cell in cells):
        members = [cell for cell in cells if cell.group == group]
        training = sum(_planned(cell)["training_flops"] for cell in members) / SPEED / 2 / 3600
        measuring = sum(_measuring(cell) for cell in members) / 2 / 3600
        rows.append({"group": group, "cells": len(members), "training": training, "measuring": measuring})
    return rows


def plan_paper() -> list[dict[str, Any]]:
    """A row for each model of the paper: hours to train and to record it, and dollars, by hardware."""
    rows = []
    for cell in paper():
        planned = _planned(cell)
        points = 2 + len(cell.study().training.snapshot_shares)  # the beginning and the end as well
        recording = planned["forward_flops_per_token"] * RECORDED * (READINGS * points + PAPER_READINGS)
        hours = {
            name: planned["hours"][name] + recording / (speed * share) / 3600
            for name, (speed, share) in HARDWARE.items()
            if name in PRICES
        }
        dollars = {name: hours[name] * price for name, price in PRICES.items()}
        rows.append(
            {
                "size": f"{cell.layers}L",
                "model": cell.model,
                "tokens": planned["tokens"],
                "hours": hours,
                "dollars": dollars,
            }
        )
    return rows


def _measuring(cell: Cell) -> float:
    """A core's seconds."""
    points, more = 1, 0.0
    if cell.in_full:
        points = 2 + len(SNAPSHOTS.split(","))  # the beginning and the end as well
        more = PAPER_SECONDS + len(cell.study().saes.names) * DICTIONARY_SECONDS
    return cell.layers * (points * POINT_SECONDS + more)


def _planned(cell: Cell) -> dict[str, Any]:
    study = cell.study()
    config = TrainConfig(model=cell.model, shape=study.shape, training=study.training)
    return _plan(config, VOCABULARY[cell.tokenizer])


@cache  # cells of several seeds cost the same
def _plan(config: TrainConfig, vocabulary: int) -> dict[str, Any]:
    return plan(config, vocabulary, processes=1)
