"""From a model's folder to a page of neurons, for each family of models that the field uses and its kind of tokenizer.

Each is built by transformers with random weights, two layers and a tokenizer trained here. What is recorded is compared
with a forward hook written by hand on one context at a time, so a batch's other rows are seen to have no influence.
"""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

from cratelm.artifacts import open_artifact, read_json
from cratelm.cli import run
from cratelm.corpus.model_tokenizer import model_start
from cratelm.models.load import load_causal_lm
from cratelm.protocols import LONG
from cratelm.records.store import read_excerpts
from tests.foreign_models import MIXTURES, random_model
from tests.foreign_tokenizers import byte_level, sentencepiece_bpe
from tests.units.test_places import PROJECTIONS

WORDS = re.findall(
    r"\w+", "the a film plot actor dog story was is very not good bad long short great and with of in on"
)


def documents(count: int) -> list[str]:
    draw = random.Random(0)
    return [" ".join(draw.choice(WORDS) for _ in range(80)) + f" number {k}, in a café." for k in range(count)]


TEXTS = documents(300)


def pythia(end: str = "<|endoftext|>", spaces: int = 0) -> PreTrainedTokenizerFast:
    names = {"bos_token": end, "eos_token": end}
    return PreTrainedTokenizerFast(tokenizer_object=byte_level(TEXTS[:50], end, spaces), **names)


def llama(start: str = "<s>", end: str = "</s>", prefix: bool = True) -> PreTrainedTokenizerFast:
    names = {"bos_token": start, "eos_token": end, "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=sentencepiece_bpe(TEXTS[:50], start, end, prefix), **names)


def qwen() -> Qwen2Tokenizer:
    """Its class cuts words by a rule of its own, so it is built by it."""
    described = json.loads(byte_level(TEXTS[:50], "<|endoftext|>").to_str())["model"]
    return Qwen2Tokenizer(vocab=described["vocab"], merges=[tuple(pair) for pair in described["merges"]])


FAMILIES: dict[str, Callable] = {
    "gpt2": pythia,
    "gpt_neox": lambda: pythia(spaces=20),
    "opt": lambda: pythia("</s>"),
    "llama": llama,
    "mistral": llama,
    "qwen2": qwen,
    "qwen3": pythia,
    "gemma2": lambda: llama("<bos>", "<eos>", prefix=False),
    "gemma3_text": lambda: llama("<bos>", "<eos>", prefix=False),
    "phi": pythia,
    "olmo2": pythia,
    "falcon": pythia,
    "bloom": lambda: pythia("</s>"),
    "mixtral": llama,
}


QUICK = ("gpt_neox", "llama")
"""Those that the fast tier runs."""


def saved(kind: str, folder: Path) -> Path:
    tokenizer = FAMILIES[kind]()
    positions = {"gpt2": {"n_positions": 128}, "bloom": {}}.get(kind, {"max_position_embeddings": 128})
    rows = max(tokenizer.get_vocab().values()) + 4  # a padded head, as most models have
    random_model(kind, vocabulary=rows, eos_token_id=0, bos_token_id=0, **positions).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in FAMILIES]
)
def test_a_model_of_every_family_goes_from_its_folder_to_a_page_of_neurons(kind, tmp_path, capsys) -> None:
    model, out = saved(kind, tmp_path / "tiny"), tmp_path / "out"
    (tmp_path / "text.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in TEXTS), encoding="utf-8")
    sites = ["--records.sites", "attention.out"] if kind in MIXTURES else []
    small = ["--records.pool", "50", "--records.context", "96", "--records.logits", "3", "--score.replicates", "100"]
    text = str(tmp_path / "text.jsonl")
    assert run(["measure", str(model), "--text", text, "--out", str(out), *small, *sites]) == 0
    assert "mean [95%]" in capsys.readouterr().out
    _require_hooked_activations(model, kind, out)
    assert run(["show", str(out), "tiny/1/3"]) == 0
    steered = ["--sites", "attention.out"] if kind in MIXTURES else []
    assert run(["steer", str(model), "1/3=4", "--prompt", "the film was", *steered]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "tiny/1/3" in shown and "the film was" in shown
    assert run(["eval", str(model), "--on", text, "--documents", "5", "--context", "64"]) == 0
    assert "context 64" in capsys.readouterr().out
    assert run(["view", str(out), "--export", str(tmp_path / "page")]) == 0
    assert (tmp_path / "page" / "data" / "0" / "1" / "units-0.js").is_file()


def _require_hooked_activations(model: Path, kind: str, out: Path) -> None:
    """Compare the excerpts that were kept of some units with what a hook sees, a context at a time."""
    records = open_artifact(out / "records" / "tiny", "records")
    summary = read_json(records.path / "records.json")["sites"][1]
    network, start = load_causal_lm(model).eval(), model_start(model)
    tokens = np.fromfile(out / "tokens" / "score.ds", "<u2").astype(np.int64)
    excerpts = read_excerpts(records, 1, "score", "top", range(4))
    assert len(excerpts.unit)
    width = summary["units"] // (2 if summary["signed"] else 1)
    for row in range(0, len(excerpts.unit), 7):
        first = excerpts.start[row] - excerpts.place[row]
        context = torch.from_numpy(tokens[first : excerpts.start[row] + LONG])
        assert context[-LONG:].tolist() == excerpts.tokens[row].tolist()
        read = _by_hand(network, kind, torch.cat([torch.tensor([start]), context])[None])[-LONG:]
        column = read[:, excerpts.unit[row] % width]
        expected = column.relu() if excerpts.unit[row] < width else (-column).relu()
        assert np.allclose(excerpts.activations[row], expected.numpy(), atol=1e-5)


@torch.no_grad()
def _by_hand(network, kind: str, ids: torch.Tensor) -> torch.Tensor:
    """The second layer's units on one text, (tokens, units), by a hook on the module that the family's source names."""
    seen: list[torch.Tensor] = []
    if kind in MIXTURES:
        module = network.get_submodule("model.layers.1.self_attn")
        hook = module.register_forward_hook(lambda module, given, output: seen.append(output[0][0]))
    else:
        module = network.get_submodule(PROJECTIONS[kind][0].format(1))
        hook = module.register_forward_pre_hook(lambda module, given: seen.append(given[0].reshape(ids.shape[1], -1)))
    network(input_ids=ids, use_cache=False)
    hook.remove()
    return seen[0]
