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
# One unit of CRATE's second layer. Its strongest tokens are signs of arithmetic, such as `**(`, `//` and `)**`. Each
# excerpt is coloured by activation; these excerpts are from text that the explainers did not see.

# %%
address = "1/128"
unit = study.unit(f"crate/{address}")
unit

# %%
print(unit.explanations["table"])
for excerpt in unit.excerpts("top", half="score")[:3]:
    print(excerpt)

# %% [markdown]
# ## Why it fired
#
# The beginning of its top excerpt, up to the token on which it fires most. `why` takes that activation apart into what
# earlier units and tokens contributed; the shares add up to 100%.

# %%
top = unit.excerpts("top", half="score")[0]
text = "".join(top.tokens[: int(top.activations.argmax()) + 1])
model = study.model("crate")
model.why(address, text)

# %% [markdown]
# ## What it does
#
# What its weights raise, and the model's next tokens where no sign of arithmetic stands: as it is, and with the unit at
# four times the highest activation that was recorded of it. The model then expects numbers, as after `x**`.

# %%
unit.raised[:5]

# %%
model.next_tokens("from sympy import", count=5)

# %%
highest = unit.statistics["explain"]["maximum"]
with model.clamp({address: 4 * highest}):
    raised = model.next_tokens("from sympy import", count=5)
raised

# %% [markdown]
# ## Your own text
#
# Which units fire on a line of code. `cratelm demo` in a terminal opens all of this in a browser.

# %%
acts = model.activations("def is_prime(number):\n    return not number % 2")
acts

# %%
acts.top(3)
