"""The page of results: what was run, what was asked beforehand, the tables as they came out."""

from collections.abc import Sequence

from cratelm.reproduce import examples_page as examples
from cratelm.reproduce import tables
from cratelm.reproduce.gather import Results
from cratelm.reproduce.matrix import Cell

SIGNS = "different text, size and judge: compare signs only"
HEAD = """# The paper's tables and figures, made again

Written by `cratelm reproduce` from the results in `cells/`: {done} of {asked} cells of the matrix. Missing ones are
not guessed at: where a table is short, they are what it lacks.

The primary endpoint, named before anything was run: the random-only score (strict, explainer `table`, mean over
layers), CRATE minus GPT-2, paired by training seed, on the corpus `reviews`. All other comparisons are secondary, and
none of their intervals is corrected for their number. Means over seeds; a difference has a t interval over seeds, which
one seed does not give. The paper's numbers stand beside under the heading "{signs}".
"""


def write_page(results: Results, asked: Sequence[Cell]) -> str:
    """The page as Markdown."""
    done = {one["cell"]["seed"] for one in results.cells}
    head = HEAD.format(done=len(results.cells), asked=len(asked), signs=SIGNS)
    edge = ", ".join(f"`{model}`" for model in tables.on_the_edge(results))
    parts = [
        head + (f"\nSeeds: {', '.join(map(str, sorted(done)))}.\n" if done else ""),
        _part("Configurations", tables.configurations()),
        _part(f"Loss by size ({SIGNS})", tables.losses(results)),
        _part("CRATE minus GPT-2", tables.differences(results)),
        _part("CRATE minus GPT-2, at CRATE's validation loss", tables.matched(results), _MATCHED),
        _part(f"Mean and variance over layers ({SIGNS})", tables.over_layers(results)),
        _part("Every layer", tables.by_layer(results), "![scores by layer](layers.svg)"),
        _part("Along the training", tables.progress(results), "![score against loss](progress.svg)"),
        _part("Designs at L = 2, by what they cost", tables.ablations(results), _EDGE.format(edge=edge)),
        _part("Vocabulary", tables.vocabulary(results), "Token share depends on it: compare within a tokenizer."),
        _part("Next words", examples.next_words(results), _EXAMPLES),
        _part("Units turned up", examples.turned(results), _TURNED),
        f"## Units\n\n{examples.cards(results) or 'No cell of this has been run.'}\n\n{_CARDS}\n",
        "## How scores are spread\n\n![histograms of units' scores](histograms.svg)\n",
    ]
    return "\n".join(parts)


_MATCHED = """GPT-2's numbers at the point of its training where it loses as much as CRATE does in the end, interpolated
between the points that were measured. A model that was stopped early differs from a trained one in more than its
loss."""
_EDGE = """![interpretability against loss](frontier.svg)

No other design that was run has both a lower loss and a higher random-only score than: {edge}. Where several seeds were
run, brackets hold the least and the greatest loss."""


_EXAMPLES = (
    """Two layers, `reviews`, the first seed. The paper's first two prompts are of the Pile, not of film reviews."""
)
_TURNED = """The units are those drawn for the cards below. The last column is what holding the unit there costs on 20
validation documents; the paper holds CRATE's units at 100 and an autoencoder's latents at 10, and ranks logits."""
_CARDS = """On excerpts `[token¦9]` is the highest activation of the card, and an unmarked token has less than an
eighteenth of it."""


def _part(title: str, table: tables.Table, text: str = "") -> str:
    head, rows = table
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    body = "\n".join(lines) if rows else "No cell of this has been run."
    return f"## {title}\n\n{body}\n" + (f"\n{text}\n" if text else "")
