# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Quickstart: whose neurons can be read?
#
# This notebook trains a small CRATE and a small GPT-2 on film reviews, explains every unit of both, scores the
# explanations on other reviews, and turns a unit up. It takes one to two minutes on 2 cores and needs no network.
#
# A *unit* is one coordinate of a layer's code (CRATE) or of the hidden layer of its MLP (GPT-2). An *explainer* looks
# at some text and says what the unit fires on; the *score* says how well that predicts the unit on other text.

# %%
import cratelm

study = cratelm.study(out="runs/quickstart", preset="smoke")  # the second time, it only opens what is there
study

# %% [markdown]
# The table is the comparison: each model's mean scores with their 95% intervals. `shuffled` is the control: the same
# units scored with other units' explanations. All scores of single units are a DataFrame.

# %%
scores = study.scores
table = scores[(scores.explainer == "table") & (scores.metric == "random-only")]
table.groupby(["model", "layer"], observed=True).score.describe()

# %% [markdown]
# ## One unit
#
# The unit of CRATE's second layer that the explainer `table` explains best.

# %%
mine = table[(table.model == "crate") & (table.layer == 1)]
best = mine.loc[mine.score.idxmax()]
unit = study.unit(f"crate/{best.layer}/{best.unit}")
unit

# %%
for excerpt in unit.excerpts("top", half="score")[:3]:
    print(excerpt)

# %% [markdown]
# ## Your own text
#
# Which units fire on a sentence, and what the model says next when one of them is held high.

# %%
model = study.model("crate")
acts = model.activations("The film was great, and the actors were good.")
acts

# %%
acts.top(3)

# %%
print("as it is:", model.generate("The film was", new_tokens=10))
peak = acts.top(1)[0]
with model.clamp({peak.unit: 5 * peak.activation}):
    print(f"{peak.unit} up:", model.generate("The film was", new_tokens=10))
