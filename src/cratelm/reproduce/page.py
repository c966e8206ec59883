"""The page of results: what was run, what was asked beforehand, the tables as they came out."""

from collections.abc import Sequence

from cratelm.reproduce import alike, claims, context, explainers, firing, tables, whole_text, windows
from cratelm.reproduce import examples_page as examples
from cratelm.reproduce.gather import Results
from cratelm.reproduce.matrix import Cell
from cratelm.reproduce.questions import questions
from cratelm.reproduce.versions import torch_versions

SIGNS = "different text, size and judge: compare signs only"
HEAD = """# The paper's tables and figures, made again

Written by `cratelm reproduce` from the results in `cells/`: {done} of {asked} cells of the matrix. Missing ones are
not guessed at: where a table is short, they are what it lacks.

The primary endpoint, named before anything was run: the random-only score (strict, explainer `table`, mean over
layers), CRATE minus GPT-2, paired by training seed, on the corpus `{corpus}`. All other comparisons are secondary.
Means are over seeds. A difference has a 95% t interval over seeds; one seed has none. The interval contains the
variance between training seeds. Where it has the mark †, it contains the choice of held-out documents as well; all
seeds are measured on the same documents, so the others leave that out. Intervals are not corrected for their number;
verdicts are. The paper's numbers are next to ours under the heading "{signs}".
"""


def write_page(results: Results, asked: Sequence[Cell]) -> str:
    """The page as Markdown."""
    edge, free = (_names(of(results)) for of in (tables.on_the_edge, tables.without_a_price))
    designs = context.on_token_share(context.designs(results))
    versions = torch_versions([one["run"]["torch"] for one in results.cells])
    parts = [
        HEAD.format(done=len(results.cells), asked=len(asked), signs=SIGNS, corpus=results.corpus),
        _part("What was run", tables.what_was_run(results, asked), f"{versions} {_HOURS}".strip()),
        _part(f"What of the claim holds ({SIGNS})", claims.judged(results), _RULE),
        f"## White-box, or less context?\n\n{designs}\n\n{_CONTEXT}\n",
        _part("CRATE minus GPT-2", tables.differences(results)),
        _part("CRATE minus GPT-2, at CRATE's validation loss", tables.matched(results), _MATCHED),
        _part("CRATE minus GPT-2, between units that are alike", alike.by_metric(results), _ALIKE),
        _part("CRATE minus GPT-2, between alike units of each layer", alike.by_layer(results), _ALIKE_LAYERS),
        _part("Each model minus GPT-2, between units that are alike", alike.by_model(results), _ALIKE_MODELS),
        _part("Five excerpts, or the whole text", whole_text.by_amount_of_text(results), _WHOLE_TEXT),
        _part("How much an explanation holds", explainers.by_explainer(results), _EXPLAINERS),
        _part("Do units fire consistently and distinctively?", firing.reasons(results), _FIRING),
        _part("Context taken away", windows.by_window(results), _WINDOWS),
        _part("Trained for longer", windows.by_tokens(results), _LONGER),
        _part("What context is worth", windows.worth(results), _WORTH),
        _part("Designs at L = 2, by what they cost", tables.ablations(results), _EDGE.format(edge=edge, free=free)),
        _part("Autoencoders", tables.autoencoders(results), _AUTOENCODERS),
        _part("Configurations", tables.configurations()),
        _part(f"Loss by size ({SIGNS})", tables.losses(results), _LOSSES),
        _part(f"Mean and variance over layers ({SIGNS})", tables.over_layers(results)),
        _part("Every layer", tables.by_layer(results), "![scores by layer](layers.svg)"),
        _part("Along the training", tables.progress(results), "![score against loss](progress.svg)"),
        _part("Vocabulary", tables.vocabulary(results), "Token share depends on it: compare within a tokenizer."),
        _part("Next words", examples.next_words(results), _EXAMPLES),
        _part("Units turned up", examples.turned(results), _TURNED),
        f"## Units\n\n{examples.cards(results) or 'No cell of this has been run.'}\n\n{_CARDS}\n",
        "## How scores are spread\n\n![histograms of units' scores](histograms.svg)\n",
        _part("What the paper's reviewers asked", questions()),
    ]
    return "\n".join(parts)


_HOURS = "The hours leave out what a cell had done before it was stopped, if it was."
_RULE = """A claim **holds** where its corrected p-value is below 0.05 and the difference is on the claim's side; its
**opposite holds** where the difference is on the other side. P-values of the primary claims are corrected by Holm, all
others of this table by Benjamini and Hochberg. Otherwise a difference in score is *absent* where its interval lies
within 0.02 of zero, and *undecided* where it does not. One seed has a sign (*as claimed*, *against it*) and no
verdict. The last column has the signs of the paper's own numbers."""
_CONTEXT = """A unit that depends on the current token alone is the easiest to explain by a table of tokens. *Token
share* is the share of a unit's variance that its token accounts for (docs/scoring.md). How it differs by size, and at
equal loss, is in the two tables that follow. It is measured after training, so no comparison here identifies what
causes a score.

![score and loss over token share](context.svg)"""
_AUTOENCODERS = """In brackets the model's own units. *Nats added*: by the reconstructions of all layers at once, in the
place of the codes. The paper's are 16 times as wide as the code (docs/sae.md)."""
_MATCHED = """GPT-2's numbers at the point of its training where it loses as much as CRATE does in the end, interpolated
between the points that were measured. A model that was stopped early differs from a trained one in more than its
loss."""
_ALIKE = """By `table`, of units that could be scored. A model may lead because its units are explained better, or
because more of them are of a kind that is easily explained. *Of equal token share*: units are compared within bins of
token share (twentieths) or of firing rate (half powers of ten), and a bin weighs as much as the smaller of the two
models' shares of units in it. *Matched* is the share of units so compared: what lies outside has no counterpart. *By
regression*: the difference at equal token share, firing rate or both by least squares over all units, with a number
for each layer. Share and rate are measured on the explain half, the score on the score half. Cells of before
2026-11-28 have both from the score half and a share that is biased by firing rate; where newer cells of a size exist,
only those count. Random-only of equal token share, and of both, was added when one seed of the pair had been seen,
before any cell kept its units; the other metrics, and the firing rate by itself, when all cells had been."""
_ALIKE_LAYERS = """Random-only of equal token share, as above; the first three numbers are those of GPT-2's layer. This
table was added to say where the rest of the lead at L = 3 lies, when that rest had been seen."""
_ALIKE_MODELS = "Random-only. Cells that kept no units are left out, of the first column too."
_WHOLE_TEXT = """By `table`. Random-only takes five excerpts of a unit, 320 tokens, as OpenAI and the paper do;
whole-text is the same correlation over all of the score half, of a sample of 256 units a layer (docs/scoring.md). In
so few tokens a unit that fires on rare ones is mostly seen without them, and scores lower. Added when the rest of the
lead at L = 3 had been traced to GPT-2's middle layer, whose units fire least; cells that were run before lack it."""
_EXPLAINERS = """Random-only, mean over seeds. `table` knows the tokens of the excerpts that an explainer is shown,
`graph` the one or two before them as well, `table-full` the unit's mean on every token of the whole explain half: the
ceiling of what any table of tokens can say, here of a sample of units (docs/scoring.md)."""
_FIRING = """The paper's reason for its scores, by `table`; in brackets with another unit's explanation, the control.
*Consistency*: how much of a unit's activation on its top excerpts falls where the explanation expects it.
*Specificity*: how rarely it fires elsewhere on random text. Both reward an explanation that names everything, which
the control shows; *auroc* does not (docs/scoring.md). Their controls of before 2026-11-28 compared activations of one
unit with a threshold of another, and are withdrawn (–). This table was added when three seeds at L = 2 had been seen,
and the comparison above the control when the one without it had been."""
_LOSSES = """*Bigram counts*: what a table of how often each token follows each other one loses, smoothed by Kneser and
Ney; *trigram counts*: the same behind two tokens. Yardsticks, of the same train text; cells that were run before they
were counted lack them.

![loss curves](losses.svg)"""
_WINDOWS = """Both models trained and measured anew, each layer attending to so many tokens, itself the last. At 1 a
unit depends on its token and position alone, whatever the model; at 2, through two layers, on three tokens. As much of
the lead as is there at 1 is not owed to context, since neither model has any: that reading was written down before the
first of these cells was run. *Of those of equal token share*: random-only within bins, as above."""
_LONGER = """The pair after three times as many tokens, three epochs of the same text. Added when CRATE had been seen to
use no context after the first, and CRATE's own numbers here had been."""
_WORTH = """What a model loses when it is trained with so short a window. Near 0 at 1 token: with all tokens before
it, it does no better than a model that knows its token alone."""
_EDGE = """![interpretability against loss](frontier.svg)

No other design that was run has both a lower loss and a higher random-only score than: {edge}. With no more loss
than GPT-2 and no less of a score than CRATE: {free}. Where several seeds were run, brackets hold the least and the
greatest loss."""
_EXAMPLES = "Two layers, the first seed. The paper's first two prompts are of the Pile, not of film reviews."
_TURNED = """The units are those drawn for the cards below. The last column is what holding the unit there costs on 20
validation documents; the paper holds CRATE's units at 100 and an autoencoder's latents at 10, and ranks logits."""
_CARDS = """On excerpts `[token¦9]` is the highest activation of the card, and an unmarked token has less than an
eighteenth of it."""


def _names(models: Sequence[str] | None) -> str:
    if models is None:
        return "not known before both have been run"
    return ", ".join(f"`{model}`" for model in models) or "none"


def _part(title: str, table: tables.Table, text: str = "") -> str:
    head, rows = table
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    body = "\n".join(lines) if rows else "No cell of this has been run."
    return f"## {title}\n\n{body}\n" + (f"\n{text}\n" if text else "")
