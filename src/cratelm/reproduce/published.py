"""What the paper published, as data: its figures, and the table that it prints of them; ours next to it."""

import json
import math
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Any

import numpy as np

from cratelm.models.flops import meta_model
from cratelm.protocols import ENDPOINT, PAPER_METRICS
from cratelm.report.figures import looks, new_figure, svg
from cratelm.report.labels import label_ends
from cratelm.reproduce.matrix import DESIGNS_AT, PAIR, paper
from cratelm.reproduce.page import Comparison
from cratelm.reproduce.results import (
    ENDPOINT_NAME,
    ENDPOINT_SCORE,
    Results,
    Table,
    decimal,
    loss,
    mean,
    means,
    over_seeds,
    paper_score,
    score,
    statistic,
    variance,
)
from cratelm.reproduce.store import Result

SIZES = ("1L", "2L", "3L", "6L", "12L")
"""The paper's models, by their number of layers; it calls the last two S and B."""
LEFT_OUT = ("6L", "12L")
"""The sizes whose last layer the paper's table and figures leave out, without saying why."""


@cache
def published() -> dict[str, Any]:
    """The package's published.json: every number with where it was read from."""
    return json.loads(files("cratelm.reproduce").joinpath("published.json").read_text(encoding="utf-8"))


def published_layers(metric: str, model: str, size: str) -> np.ndarray:
    """The scores of all layers, x 100: (layers,), NaN where a value was not published, empty where none was."""
    scores = published()["scores"][metric].get(model, {}).get(size, [])
    return np.array(scores, dtype=np.float64)


def as_printed(metric: str, model: str, size: str) -> tuple[float, float]:
    """The mean and the (population) variance over layers as the paper's table has them; NaN where it has none."""
    layers = published_layers(metric, model, size)
    if not layers.size:
        return float("nan"), float("nan")
    layers = layers[:-1] if size in LEFT_OUT else layers
    return float(layers.mean()), float(layers.var())


def with_every_layer(metric: str, model: str, size: str) -> tuple[float, float]:
    """The same over all layers: NaN where the last one was not published."""
    layers = published_layers(metric, model, size)
    return float(layers.mean()), float(layers.var())


VOCABULARY = 50304
"""GPT-2's, padded as the official code pads it."""
SIGNS = "different text, size and judge: compare signs only"


def configurations(_: Results) -> Table:
    """The paper's sizes: parameters without positions, counted on the meta device, next to its table's."""
    rows = []
    for cell in paper():
        shape, size = cell.study().shape, f"{cell.layers}L"
        network = meta_model(cell.model, shape, VOCABULARY)
        counted = network.num_parameters() - network.model.embed_positions.weight.numel()
        printed = published()["parameters"][cell.model][size]
        rows.append([size, cell.model, *map(str, (shape.layers, shape.width, shape.heads)), f"{counted:,}", printed])
    return ["size", "model", "L", "d", "K", "parameters, counted", "in the paper's table"], rows


def losses(results: Results) -> Table:
    """Validation loss by size, mean over seeds, next to the paper's."""
    rows = []
    for corpus, layers, model in product(results.values("corpus"), results.sizes, results.values("model")):
        cells = results.of(group="sizes", corpus=corpus, layers=layers, model=model)
        if cells:
            theirs = published()["validation_loss"].get(model, {}).get(f"{layers}L")
            parameters, tokens = (f"{cells[0]['training'][name]:,}" for name in ("parameters", "tokens"))
            epochs = f"{cells[0]['training']['tokens'] / cells[0]['train_tokens']:.2f}"
            ours = [parameters, tokens, epochs, *over_seeds(cells, loss)]
            rows.append([corpus, str(layers), model, *ours, decimal(theirs, 2)])
    for corpus in results.values("corpus"):
        rows += _counted(results.of(corpus=corpus, tokenizer=results.tokenizer))
    return ["corpus", "L", "model", "parameters", "tokens", "epochs", "nats a token", "seeds", "paper"], rows


def _counted(cells: Sequence[Result]) -> list[list[str]]:
    """What counting n-grams of the same text loses."""
    for cell in cells:
        if "ngrams" in cell:
            corpus, tokens = cell["cell"]["corpus"], f"{cell['train_tokens']:,}"
            losses = {"bigram counts": cell["ngrams"]["2"], "trigram counts": cell["ngrams"]["3"]}
            return [[corpus, "–", name, "–", tokens, "1.00", decimal(nats), "–", "–"] for name, nats in losses.items()]
    return []


def over_layers(results: Results) -> Table:
    """Mean and variance over layers by metric, ours and the paper's."""
    rows = []
    for layers, model, metric in product(results.sizes, PAIR, PAPER_METRICS):
        cells = results.main(group="sizes", layers=layers, model=model)
        if cells:
            ours = [
                text
                for of_layers in (score, paper_score)
                for text in (
                    f"{mean(cells, of_layers(ENDPOINT.explainer, metric)):.3f}",
                    decimal(mean(cells, variance(metric, of_layers)), 5),
                )
            ]
            rows.append([str(layers), model, metric, *ours, *_printed(metric, model, f"{layers}L")])
    missing = [size for size in LEFT_OUT if not results.main(group="sizes", layers=int(size.rstrip("L")))]
    for size, model, metric in product(missing, PAIR, PAPER_METRICS):
        rows.append([size.rstrip("L"), model, metric, *["–"] * 4, *_printed(metric, model, size)])
    ours = ["strict: mean", "variance", "paper's protocol: mean", "variance"]
    return ["L", "model", "metric", *ours, "published mean, x 100", "published variance, x 100"], rows


def _printed(metric: str, model: str, size: str) -> list[str]:
    """The paper's mean and variance over layers, and what they are with the layer that it leaves out."""
    shown = [f"{value:.2f}" for value in as_printed(metric, model, size)]
    whole = with_every_layer(metric, model, size)
    if size in LEFT_OUT and all(map(math.isfinite, whole)):
        return [f"{value}; with the last layer {with_last:.2f}" for value, with_last in zip(shown, whole, strict=True)]
    return shown


def vocabulary(results: Results) -> Table:
    """CRATE minus GPT-2 at GPT-2's vocabulary next to the small one's: token share depends on it."""
    numbers = {ENDPOINT_NAME: ENDPOINT_SCORE, "loss, nats": loss, "token share": statistic("token_share")}
    rows = []
    for tokenizer in results.values("tokenizer"):
        by_model = [results.of(corpus=results.corpus, tokenizer=tokenizer, layers=DESIGNS_AT, model=m) for m in PAIR]
        if all(by_model):
            for model, cells in zip(PAIR, by_model, strict=True):
                rows.append([tokenizer, model, *means(cells, [*numbers.values()])])
    return ["tokenizer", "model", *numbers], rows


def draw_losses(results: Results) -> str | None:
    """Validation loss along the training, for each L; a line a seed."""
    if not results.sizes:
        return None
    figure, axes = new_figure(columns=len(results.sizes))
    for axis, layers in zip(axes[0], results.sizes, strict=True):
        ends = []
        for (colour, _, line), model in zip(looks(), results.values("model"), strict=False):
            cells = results.main(group="sizes", layers=layers, model=model)
            for cell in cells:
                tokens, losses = zip(*cell["curve"], strict=True)
                axis.plot(np.divide(tokens, 1e6), losses, linestyle=line, color=colour)
            if cells:
                tokens, nats = np.mean([cell["curve"][-1] for cell in cells], axis=0)
                ends.append((tokens / 1e6, nats, model, colour))
        axis.set(xlabel=f"million tokens, L = {layers}", ylabel="validation loss, nats a token")
        label_ends(axis, ends)
    return svg(figure)


CONFIGURATIONS = Comparison(name="configurations", order=170, title="Configurations", table=configurations)
LOSSES = Comparison(
    name="losses",
    order=180,
    title=f"Loss by size ({SIGNS})",
    table=losses,
    text="""*Bigram counts*: what a table of how often each token follows each other one loses, smoothed by Kneser and
Ney; *trigram counts*: the same with two tokens. Yardsticks, of the same train text.""",
    figure=draw_losses,
)
OVER_LAYERS = Comparison(
    name="over-layers", order=190, title=f"Mean and variance over layers ({SIGNS})", table=over_layers
)
TOKENIZERS = Comparison(
    name="vocabulary",
    order=220,
    title="Vocabulary",
    table=vocabulary,
    text="Token share depends on it: compare within a tokenizer.",
)
