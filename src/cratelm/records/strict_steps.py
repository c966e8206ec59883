"""Recording by the protocols strict and short: two halves of the text, excerpts within documents."""

from cratelm.corpus.read_tokens import Side
from cratelm.protocols import PROTOCOLS
from cratelm.records.assemble import Assembler
from cratelm.records.choose_excerpts import Planner
from cratelm.records.config import RecordConfig
from cratelm.records.context_pass import ContextPass
from cratelm.records.pass1_statistics import FirstPass
from cratelm.records.pass2_excerpts import SecondPass
from cratelm.records.recording import Steps
from cratelm.records.tiling import Half, Shard, cut_batches, cut_half, cut_shards


def _cut_halves(sides: dict[str, Side], context: int, config: RecordConfig) -> dict[str, Half]:
    long = PROTOCOLS[config.protocol].long
    return {name: cut_half(name, side, context, config.tokens, long) for name, side in sides.items()}


def _cut_shards(halves: dict[str, Half], config: RecordConfig) -> list[Shard]:
    """The work on both halves, the explain half's first."""
    return [
        shard
        for half in halves.values()
        for shard in cut_shards(half, cut_batches(half, config.batch, config.seed), config.shard)
    ]


STEPS = Steps(_cut_halves, _cut_shards, FirstPass, Planner, SecondPass, Assembler, ContextPass)
