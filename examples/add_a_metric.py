# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Add a metric
#
# A metric says how well an explanation predicts a unit. This notebook adds one in a cell and scores units by it. So
# that it needs no network, it first trains a small CRATE. All of it takes half a minute on 2 cores.

# %%
import numpy as np

import cratelm

list(cratelm.metrics)

# %% [markdown]
# ## The metric
#
# A function of a unit's true and simulated activations on one excerpt, `(T,)` each. The unit's score is its mean over
# the unit's excerpts. The first line of the docstring says what a high score means.


# %%
@cratelm.metric
def same_peak(true, simulated):
    """how often the highest simulated activation is on the token with the highest true one"""
    return float(np.argmax(true) == np.argmax(simulated))


# %% [markdown]
# ## Score by it
#
# Every metric gets the same controls: `shuffled` is the score with another unit's explanation, and `random` an
# explainer that does not look at the unit. Put a folder or a name of the hub in the place of `model` to score your own.

# %%
tokens = cratelm.tokenize("reviews", out="runs/add-a-metric/tokens", tokenizer="bpe:1024", documents=2500)
model = cratelm.train(tokens=tokens, out="runs/add-a-metric/crate", preset="smoke")
neurons = cratelm.measure(
    model,
    out="runs/add-a-metric/neurons",
    text=str(tokens),
    records={"tokens": 20_000, "pool": 200},
    explain={"explainer": "table,random"},
    score={"metric": "same-peak,random-only", "replicates": 200},
)
neurons.scores.groupby(["metric", "explainer"], observed=True)[["score", "shuffled"]].mean().round(3)

# %% [markdown]
# ## Does it say anything new?
#
# The rank correlation, over units, of the new metric with one that is there.

# %%
scores = neurons.scores
by_metric = scores[scores.explainer == "table"].pivot_table(
    index=["layer", "unit"], columns="metric", values="score", observed=True
)
by_metric.corr(method="spearman").round(2)

# %% [markdown]
# `cratelm.score` scores a finished study's records by it in the same way. To share a metric, offer it as an entry point
# of a package (CONTRIBUTING.md): then the commands know it too.
