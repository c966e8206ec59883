"""The tables of the reproduction: heads and rows of text, out of the cells' results and what the paper published."""

import math
from collections.abc import Sequence
from itertools import product

from cratelm.models.flops import meta_model
from cratelm.reproduce.gather import (
    ALL,
    Number,
    Result,
    Results,
    delta_loss,
    keyed,
    latents,
    latents_statistic,
    loss,
    mean,
    paired,
    paired_at_loss,
    paper_score,
    score,
    stages,
    statistic,
    variance,
)
from cratelm.reproduce.matrix import ABLATIONS, PAIR, Cell, paper
from cratelm.reproduce.numerals import decimal, over_seeds, with_interval
from cratelm.reproduce.published import LEFT_OUT, as_printed, published, with_every_layer
from cratelm.score.registry import HEADLINE_METRICS

Table = tuple[list[str], list[list[str]]]
"""Its head and its rows."""
VOCABULARY = 50304
"""GPT-2's, padded as the official code pads it."""
PRIMARY = score("table", "random-only")


def what_was_run(results: Results, asked: Sequence[Cell]) -> Table:
    """By question, corpus and machine: how many cells, of which seeds, and when."""
    by_origin: dict[tuple[str, ...], list[Result]] = {}
    for one in results.cells:
        run, cell = one["run"], one["cell"]
        origin = (cell["group"], cell["corpus"], run["machine"], run["torch"], one["training"]["precision"])
        by_origin.setdefault(origin, []).append(one)
    rows = []
    for (group, corpus, *where), cells in sorted(by_origin.items()):
        wanted = sum((cell.group, cell.corpus) == (group, corpus) for cell in asked)
        seeds, dates = (sorted({one[of][name] for one in cells}) for of, name in (("cell", "seed"), ("run", "date")))
        hours = sum(one["run"]["processor_seconds"] for one in cells) / 3600
        found = [f"{len(cells)} of {wanted}", ", ".join(map(str, seeds)), *where, ", ".join(dates)]
        rows.append([group, corpus, *found, f"{hours:.1f}"])
    return ["for", "corpus", "cells", "seeds", "machine", "torch", "trained in", "dates", "processor hours"], rows


def configurations() -> Table:
    """The paper's sizes: parameters without positions, counted on the meta device, beside its table's."""
    rows = []
    for cell in paper():
        shape, size = cell.study().shape, f"{cell.layers}L"
        network = meta_model(cell.model, shape, VOCABULARY)
        counted = network.num_parameters() - network.model.embed_positions.weight.numel()
        printed = published()["parameters"][cell.model][size]
        rows.append([size, cell.model, *map(str, (shape.layers, shape.width, shape.heads)), f"{counted:,}", printed])
    return ["size", "model", "L", "d", "K", "parameters, counted", "in the paper's table"], rows


def losses(results: Results) -> Table:
    """Validation loss by size, mean over seeds, beside the paper's."""
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
            named = {"bigram counts": cell["ngrams"]["2"], "trigram counts": cell["ngrams"]["3"]}
            return [[corpus, "–", of, "–", tokens, "1.00", decimal(nats), "–", "–"] for of, nats in named.items()]
    return []


def differences(results: Results) -> Table:
    """CRATE minus GPT-2 by each metric, paired by seed, and what may lie behind it."""
    numbers: dict[str, Number] = {f"{metric}, table": score("table", metric) for metric in HEADLINE_METRICS}
    numbers |= {"random-only, graph": score("graph", "random-only"), "loss, nats": loss}
    numbers |= {"token share": statistic("token_share")}
    rows = [
        [corpus, str(layers), *(with_interval(paired(*pair, number)) for number in numbers.values())]
        for corpus, layers, pair in pairs(results)
    ]
    return ["corpus", "L", *numbers], rows


def matched(results: Results) -> Table:
    """The same against GPT-2 at the point of its training where it loses as much as CRATE does in the end."""
    numbers: dict[str, Number] = {f"{metric}, table": score("table", metric) for metric in HEADLINE_METRICS}
    numbers |= {"token share": statistic("token_share")}
    rows = [
        [corpus, str(layers), *(with_interval(paired_at_loss(*pair, number)) for number in numbers.values())]
        for corpus, layers, pair in pairs(results)
        if math.isfinite(paired_at_loss(*pair, loss)[0])
    ]
    return ["corpus", "L", *numbers], rows


def autoencoders(results: Results) -> Table:
    """Autoencoders on the trained models: what they cost, and the latents' scores beside those of the model's units."""
    rows = []
    for layers, model in product(results.sizes, PAIR):
        cells = results.main(group="sizes", layers=layers, model=model)
        fitted = [cell for cell in cells if cell.get("autoencoders")]
        for name in fitted[0]["autoencoders"] if fitted else ():
            pairs = [(latents(name, metric), score("table", metric)) for metric in HEADLINE_METRICS]
            pairs.append((latents_statistic(name, "token_share"), statistic("token_share")))
            pair = [(mean(fitted, theirs), mean(fitted, own)) for theirs, own in pairs]
            cost = decimal(mean(fitted, delta_loss(name)), 4)
            rows.append([str(layers), model, name, str(len(fitted)), cost, *(f"{a:.3f} ({b:.3f})" for a, b in pair)])
    return ["L", "model", "dictionary", "seeds", "nats added", *HEADLINE_METRICS, "token share"], rows


def over_layers(results: Results) -> Table:
    """Mean and variance over layers by metric, ours and the paper's."""
    rows = []
    for layers, model, metric in product(results.sizes, PAIR, HEADLINE_METRICS):
        cells = results.main(group="sizes", layers=layers, model=model)
        if cells:
            ours = [
                text
                for of in (score, paper_score)
                for text in (f"{mean(cells, of('table', metric)):.3f}", decimal(mean(cells, variance(metric, of)), 5))
            ]
            rows.append([str(layers), model, metric, *ours, *_printed(metric, model, f"{layers}L")])
    missing = [size for size in LEFT_OUT if not results.main(group="sizes", layers=int(size.rstrip("L")))]
    for size, model, metric in product(missing, PAIR, HEADLINE_METRICS):
        rows.append([size.rstrip("L"), model, metric, *["–"] * 4, *_printed(metric, model, size)])
    ours = ["strict: mean", "variance", "paper's protocol: mean", "variance"]
    return ["L", "model", "metric", *ours, "published mean, x 100", "published variance, x 100"], rows


def by_layer(results: Results) -> Table:
    """Every layer: scores, what the units depend on, how sparse they are; mean over seeds."""
    rows = []
    for layers, model in product(results.sizes, results.values("model")):
        cells = results.main(group="sizes", layers=layers, model=model)
        for layer in range(layers) if cells else ():
            numbers = [score("table", metric, layer) for metric in HEADLINE_METRICS]
            numbers += [statistic("token_share", layer), statistic("active_share", layer), statistic("hoyer", layer)]
            rows.append([str(layers), model, str(layer), *(decimal(mean(cells, number)) for number in numbers)])
    return ["L", "model", "layer", *HEADLINE_METRICS, "token share", "active units", "Hoyer"], rows


def progress(results: Results) -> Table:
    """Along the training: loss, the primary score, token share; mean over seeds."""
    rows = []
    for layers, model in product(results.sizes, results.values("model")):
        cells = results.main(group="sizes", layers=layers, model=model)
        for stage in stages(cells[0]) if cells else ():
            numbers = (loss, PRIMARY, statistic("token_share"))
            rows.append([str(layers), model, stage, *(decimal(mean(cells, number, stage)) for number in numbers)])
    return ["L", "model", "share of training", "nats a token", "random-only, table", "token share"], rows


def ablations(results: Results) -> Table:
    """Every design at L = 2, by its loss: what is paid, and what is got, also less what GPT-2 pays and gets."""
    rows, gpt2 = [], results.main(layers=2, model="gpt2")
    for model in (*PAIR, *ABLATIONS, *results.values("model")):
        cells = results.main(layers=2, model=model)
        if cells and not any(row[0] == model for row in rows):
            dead = keyed("dead", ALL, "table", "random-only")
            numbers = (PRIMARY, score("table", "top-and-random"))
            numbers += (score("table", "anthropic"), statistic("token_share"))
            shown = [decimal(mean(cells, number)) for number in numbers]
            less = [with_interval(paired(cells, gpt2, number)) for number in (loss, PRIMARY)]
            less = ["", ""] if model == "gpt2" else less
            rows.append([model, *over_seeds(cells, loss), *shown, decimal(mean(cells, dead)), *less])
    rows.sort(key=lambda row: float(row[1].split()[0]))
    heads = ["random-only", "top-and-random", "anthropic", "token share", "dead"]
    heads += ["nats minus gpt2's", "random-only minus gpt2's"]
    return ["model", "nats a token", "seeds", *heads], rows


def on_the_edge(results: Results) -> list[str]:
    """The designs at L = 2 that no other one beats in both loss and the primary score."""
    points = _paid_and_got(results)
    return [
        model
        for model, (paid, got) in points.items()
        if not any(other != (paid, got) and other[0] <= paid and other[1] >= got for other in points.values())
    ]


def without_a_price(results: Results) -> list[str] | None:
    """The designs at L = 2 with no higher loss than GPT-2 and no lower primary score than CRATE; None without both."""
    points = _paid_and_got(results)
    if not set(PAIR) <= points.keys():
        return None
    return [model for model, (paid, got) in points.items() if paid <= points["gpt2"][0] and got >= points["crate"][1]]


def _paid_and_got(results: Results) -> dict[str, tuple[float, float]]:
    """The loss and the primary score of every design at L = 2, mean over seeds."""
    points = {}
    for model in results.values("model"):
        cells = results.main(layers=2, model=model)
        if cells:
            points[model] = (mean(cells, loss), mean(cells, PRIMARY))
    return points


def vocabulary(results: Results) -> Table:
    """CRATE minus GPT-2 at GPT-2's vocabulary beside the small one's: token share depends on it."""
    numbers: dict[str, Number] = {"random-only, table": PRIMARY, "loss, nats": loss}
    numbers |= {"token share": statistic("token_share")}
    rows = []
    for tokenizer in results.values("tokenizer"):
        found = [results.of(corpus=results.corpus, tokenizer=tokenizer, layers=2, model=m) for m in PAIR]
        if all(found):
            for model, cells in zip(PAIR, found, strict=True):
                rows.append([tokenizer, model, *(decimal(mean(cells, number)) for number in numbers.values())])
    return ["tokenizer", "model", *numbers], rows


def pairs(results: Results) -> list[tuple[str, int, tuple[list[Result], list[Result]]]]:
    """CRATE's and GPT-2's cells of each corpus and size that has both."""
    found = []
    for corpus, layers in product(results.values("corpus"), results.sizes):
        crate, gpt2 = (results.of(group="sizes", corpus=corpus, layers=layers, model=model) for model in PAIR)
        if crate and gpt2:
            found.append((corpus, layers, (crate, gpt2)))
    return found


def _printed(metric: str, model: str, size: str) -> list[str]:
    """The paper's mean and variance over layers, and what they are with the layer that it leaves out."""
    shown = [f"{value:.2f}" for value in as_printed(metric, model, size)]
    whole = with_every_layer(metric, model, size)
    if size in LEFT_OUT and all(map(math.isfinite, whole)):
        return [f"{one}; with the last layer {other:.2f}" for one, other in zip(shown, whole, strict=True)]
    return shown
