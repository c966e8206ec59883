# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Add a metric
#
# A metric says how well an explanation predicts a unit. This notebook adds one in a cell and scores the units of a
# finished study by it. The smoke study that it makes first takes one to two minutes on 2 cores, once. The rest takes
# ten seconds.

# %%
import numpy as np

import cratelm

study = cratelm.study(out="runs/smoke", preset="smoke")
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
# Explanations that are there are used again. Every metric gets the same controls: `shuffled` is the score with another
# unit's explanation, and `random` an explainer that does not look at the unit.

# %%
records, explanations = study.path / "records/crate", study.path / "explanations/crate"
scores = cratelm.score(records, explanations, out="runs/same-peak", metric="same-peak,random-only", replicates=200)
scores.frame.groupby(["metric", "explainer"], observed=True)[["score", "shuffled"]].mean().round(3)

# %% [markdown]
# ## Does it say anything new?
#
# The rank correlation, over units, of the new metric with one that is there.

# %%
by_metric = scores.frame[scores.frame.explainer == "table"].pivot_table(
    index=["layer", "unit"], columns="metric", values="score", observed=True
)
by_metric.corr(method="spearman").round(2)

# %% [markdown]
# To share a metric, offer it as an entry point of a package (CONTRIBUTING.md): then the commands know it too.
