# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Quickstart: whose neurons can be read?
#
# This notebook opens the study that comes with cratelm: a small CRATE and a small GPT-2, trained on Python source. It
# reads one unit, asks why it fired, and turns it up. It takes half a minute and needs no network.
#
# A *unit* is one coordinate of a layer's code (CRATE) or of the hidden layer of its MLP (GPT-2). An *explainer* looks
# at some text and says what the unit fires on; the *score* says how well that predicts the unit on other text.

# %%
import cratelm

study = cratelm.demo()
study

# %% [markdown]
# The table is the comparison: each model's mean scores with their 95% intervals. `shuffled` is the control: the same
# units scored with other units' explanations. All scores of single units are a DataFrame.

# %%
scores = study.scores
whole = scores[(scores.explainer == "rules") & (scores.metric == "whole-text")]
whole.groupby(["model", "layer"], observed=True).score.describe()

# %% [markdown]
# ## What it fires on
#
# The unit of CRATE's second layer that the explainer `rules` explains best, and what the explainers say of it.

# %%
best = whole.loc[whole[(whole.model == "crate") & (whole.layer == 1)].score.idxmax()]
address = f"{best.layer}/{best.unit}"
unit = study.unit(f"crate/{address}")
unit

# %%
print(unit.explanations["rules"])
for excerpt in unit.excerpts("top", half="score")[:3]:
    print(excerpt)

# %% [markdown]
# ## Why it fired
#
# The beginning of its top excerpt, up to the token on which it fires most. `why` takes that activation apart into what
# earlier units and tokens contributed; the shares add up to 100%.

# %%
excerpt = unit.excerpts("top", half="score")[0]
text = "".join(excerpt.tokens[: int(excerpt.activations.argmax()) + 1])
model = study.model("crate")
model.why(address, text)

# %% [markdown]
# ## What it does
#
# The model's next tokens as it is, and with the unit at twice the highest activation that was recorded of it.

# %%
model.next_tokens(text, count=5)

# %%
highest = unit.statistics["explain"]["maximum"]
with model.clamp({address: 2 * highest}):
    print("turned up:", model.next_tokens(text, count=5))

# %% [markdown]
# ## Your own text
#
# Which units fire on a line of code. `cratelm demo` in a terminal opens all of this in a browser.

# %%
acts = model.activations("def is_prime(number):\n    return not number % 2")
acts

# %%
acts.top(3)
