"""Recording by the protocol paper: windows of one flattened stream."""

from cratelm.corpus.read_tokens import Side
from cratelm.records.config import RecordConfig
from cratelm.records.paper.assemble import PaperAssembler
from cratelm.records.paper.choose_windows import PaperPlanner
from cratelm.records.paper.passes import PaperFirstPass, PaperSecondPass
from cratelm.records.paper.stream_windows import cut_rows, cut_stream
from cratelm.records.recording import Steps
from cratelm.records.tiling import Half, Shard


def _cut_halves(sides: dict[str, Side], context: int, config: RecordConfig) -> dict[str, Half]:
    return {"text": cut_stream(list(sides.values()), context, config.tokens)}


def _cut_shards(halves: dict[str, Half], config: RecordConfig) -> list[Shard]:
    return list(cut_rows(halves["text"], config.batch, config.shard))


STEPS = Steps(_cut_halves, _cut_shards, PaperFirstPass, PaperPlanner, PaperSecondPass, PaperAssembler)
