"""Units a second that `table` and `graph` explain and all metrics score on one core, intervals and controls included.

python benchmarks/table.py; the limit that we hold ourselves to is 50 units a second a core, of the process's own
time: what others use of the core counts not. The records are those
of a laptop-sized network before training, on the packaged reviews: 1,024 units.
"""

import os
import tempfile
import time
from pathlib import Path

# One core for this process, before any library starts its threads.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

from rich.console import Console

from cratelm.corpus.config import CorpusConfig
from cratelm.corpus.tokens import tokenize
from cratelm.explain.config import ExplainConfig
from cratelm.explain.explain import explain
from cratelm.progress import Progress
from cratelm.records.config import RecordConfig
from cratelm.records.record import record
from cratelm.score.config import ScoreConfig
from cratelm.score.registry import METRICS
from cratelm.score.score import score
from cratelm.training.config import TrainConfig, TrainingConfig
from cratelm.training.train import train


def main() -> None:
    """Make the records, then time the two stages that follow."""
    progress = Progress(Console(quiet=True))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokens = tokenize(CorpusConfig(documents=6000), folder / "tokens", progress)
        model = train(TrainConfig(training=TrainingConfig(tokens=0)), tokens, folder / "model", progress)
        records = record(RecordConfig(), model, tokens, folder / "records", progress)
        began = time.process_time()
        explanations = explain(ExplainConfig(), records, folder / "explanations", progress)
        explained = time.process_time()
        score(ScoreConfig(), records, explanations, folder / "scores", progress)
        scored = time.process_time()
    units = 1024
    print(f"explain {explained - began:.2f} s, simulate and score {scored - explained:.2f} s for {units} units,")
    print(f"{ExplainConfig().explainer}; {len(METRICS)} metrics, {ScoreConfig().replicates} replicates:")
    print(f"{units / (scored - began):.0f} units a second on one core")


if __name__ == "__main__":
    main()
