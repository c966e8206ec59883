"""The analysis stage: a model and text in, what the theory predicts by layer out, next to the untrained model.

OUT/analysis.json  all numbers     OUT/analysis.csv  those that are single     OUT/analysis.svg  figures by layer
"""

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from cratelm.analysis.config import AnalysisConfig
from cratelm.analysis.measures import layer_numbers
from cratelm.analysis.observe import observe
from cratelm.analysis.parts import layer_parts
from cratelm.analysis.theory_figures import draw
from cratelm.artifacts import Artifact, Stage, run_stage, write_json
from cratelm.corpus.contexts import context_tokens, cut_contexts, equal_batches
from cratelm.corpus.model_tokenizer import model_start
from cratelm.corpus.read_tokens import Side, read_side
from cratelm.errors import InputError
from cratelm.loading import SPREAD, Loading
from cratelm.models.build import untrained
from cratelm.models.devices import require_float64
from cratelm.models.load import load_causal_lm
from cratelm.models.subject import model_folder, require_embedding
from cratelm.progress import Progress
from cratelm.seeds import derive_seed
from cratelm.training.text_losses import context_length

ANALYSIS = Stage("analysis", files=("analysis.json", "analysis.csv", "analysis.svg"))


def analyze(
    config: AnalysisConfig, model: Artifact, tokens: Artifact, out: Path, progress: Progress, device: str = "auto"
) -> Artifact:
    """Measure `model`, which runs on `device`, on validation text of `tokens`."""
    inputs = {"model": model, "tokens": tokens}
    loading = Loading(dtype=config.dtype, device=device)

    def work(folder: Path) -> None:
        _analyze(config, model, tokens, folder, progress, loading)

    return run_stage(out, ANALYSIS, config, inputs, work, lambda: _require_device(device))


def _require_device(device: str) -> None:
    require_float64(device)
    if device == SPREAD:
        raise InputError(f"--device {SPREAD}: an analysis reads the weights themselves, on one device. Give another.")


def _analyze(
    config: AnalysisConfig, model: Artifact, tokens: Artifact, folder: Path, progress: Progress, loading: Loading
) -> None:
    network = load_causal_lm(model_folder(model), loading)
    layer_parts(network)  # what cannot be analysed is refused before anything is read
    start = model_start(model_folder(model))
    rows = measure(network, config, tokens, start, progress)
    beside = untrained(network.config, derive_seed(config.seed, "weights")).eval()  # type: ignore[arg-type]
    nn.Module.to(beside, network.device, network.dtype)
    rows += measure(beside, config, tokens, start, progress, "untrained")
    facts = {"model": model.name, **model.origin, "model_type": network.config.model_type, "epsilon": config.epsilon}
    write_json(folder / "analysis.json", facts | {"rows": rows})
    _write_csv(folder / "analysis.csv", rows)
    (folder / "analysis.svg").write_text(draw(model.name, rows), encoding="utf-8")


def measure(
    network: PreTrainedModel,
    config: AnalysisConfig,
    tokens: Artifact,
    start: int,
    progress: Progress,
    weights: str = "trained",
) -> list[dict[str, Any]]:
    """A row of numbers for each layer of a network on validation text, read after the token `start`.

    Raises InputError where the text does not fit the network.
    """
    side = _text(read_side(tokens, "validation"), config.tokens)
    context = context_length(network)
    require_embedding(tokens, 1 + max(start, int(side.tokens.max())), network.config.vocab_size)
    if not all(weight.isfinite().all() for weight in network.parameters()):
        raise InputError("the model's weights are not finite numbers: they are damaged. Train it again.")
    with progress.task(f"analysing the {weights} model", total=len(side.tokens) - len(side.ends)) as bar:
        batches = _batches(side, start, context - 1, config.batch)
        layers, final = observe(network, batches, config.sample, bar.advance)
    if not final.isfinite().all():
        raise InputError(f"the model's hidden states are not finite numbers: its weights do not fit {network.dtype}.")
    rows = layer_numbers(layers, final, network.config.num_attention_heads, config)
    return [{"weights": weights, "tokens": layers[0].tokens} | {k: _plain(v) for k, v in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    """JSON has no NaN: a number that does not exist is null."""
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(side: Side, tokens: int) -> Side:
    """Whole documents from the start, up to so many tokens, the first one in any case."""
    documents = max(1, int((side.ends <= tokens).sum()))
    return side.first(documents)


def _batches(side: Side, start: int, longest: int, batch: int) -> Iterator[torch.Tensor]:
    """Token ids (B, 1 + T) of contexts of one length, each after the start token."""
    contexts = cut_contexts(side, longest)
    for members in equal_batches(contexts, max(1, batch // longest)):
        ids = torch.from_numpy(context_tokens(side, contexts, members))
        yield torch.cat([torch.full((len(ids), 1), start), ids], dim=1)


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    single = [name for name, value in rows[0].items() if not isinstance(value, list)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, single, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
