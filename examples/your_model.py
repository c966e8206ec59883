# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Your model: what do its neurons fire on?
#
# `cratelm.measure` takes any causal language model of transformers: a folder, or a name of the hub such as
# `"EleutherAI/pythia-160m"`. So that this notebook needs no network, it first trains a small GPT-2 and then treats its
# folder as anybody's. It takes half a minute on 2 cores.

# %%
import cratelm

tokens = cratelm.tokenize("reviews", out="runs/your-model/tokens", tokenizer="bpe:1024", documents=2500)
trained = cratelm.train(tokens=tokens, out="runs/your-model/gpt2", preset="smoke", model="gpt2")
MODEL = "runs/your-model/gpt2"  # put your folder or name here
trained

# %% [markdown]
# ## Measure it
#
# Three stages: record what every unit fires on, explain each from one half of the text, score on the other half. The
# text here is little so that it is quick; leave `records` out to read all of it.

# %%
neurons = cratelm.measure(
    MODEL,
    out="runs/your-model/neurons",
    text=str(tokens),
    records={"tokens": 20_000, "pool": 200},
    explain={"explainer": "table,graph,random"},
    score={"replicates": 200},
)
neurons

# %% [markdown]
# ## Read its neurons
#
# Addresses are `model/layer/unit`, here as in files, tables and the viewer (`cratelm view runs/your-model/neurons`).

# %%
scores = neurons.scores
table = scores[(scores.explainer == "table") & (scores.metric == "random-only")]
best = table.nlargest(5, "score")[["layer", "unit", "score"]]
best

# %%
name = neurons.models[0]
unit = neurons.unit(f"{name}/{best.layer.iloc[0]}/{best.unit.iloc[0]}")
unit

# %% [markdown]
# ## Run it
#
# `cratelm.load` opens the model alone. `network` is the transformers model itself, so anything else that works on it
# still does, also while units are clamped.

# %%
model = cratelm.load(MODEL)
model.activations("The film was great").frame().iloc[:, :5]

# %%
address = f"{best.layer.iloc[0]}/{best.unit.iloc[0]}"
with model.clamp({address: 0}):  # ablated
    ablated = model.next_tokens("The film was", count=5)
list(zip(model.next_tokens("The film was", count=5), ablated, strict=True))
