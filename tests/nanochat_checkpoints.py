"""Checkpoints of the layout that nanochat-crate-a writes, with random weights, and a tokenizer of its kind."""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from tests.formulas import Tensors

V, D, LAYERS, HEADS, LENGTH = 61, 24, 5, 3, 20
MODEL_CONFIG: dict[str, Any] = {
    "sequence_len": LENGTH, "vocab_size": V, "n_layer": LAYERS, "n_head": HEADS, "n_kv_head": HEADS, "n_embd": D,
    "window_pattern": "SSSL",
}  # fmt: skip
SPECIAL = ("bos", "user_start", "user_end", "assistant_start", "assistant_end", "python_start", "python_end",
           "output_start", "output_end")  # fmt: skip


def weights(vocabulary: int = V, layers: int = LAYERS, width: int = D, expansion: int = 4) -> Tensors:
    """Random tensors with the names and shapes of a checkpoint; the rows of tokens are padded to a multiple of 64."""
    torch.manual_seed(0)
    rows = -(-vocabulary // 64) * 64
    shapes: dict[str, tuple[int, ...]] = {"transformer.wte.weight": (rows, width), "lm_head.weight": (rows, width)}
    for index in range(layers):
        h = f"transformer.h.{index}."
        shapes |= {h + "mssa.qkv.weight": (width, width), h + "mssa.c_proj.weight": (width, width)}
        shapes |= {
            h + "odl.D_enc.weight": (expansion * width, width),
            h + "odl.D_dec.weight": (width, expansion * width),
        }
        shapes[h + "odl.threshold"] = (expansion * width,)
    tensors = {name: torch.randn(shape) * 0.3 for name, shape in shapes.items()}
    tensors["lm_head.weight"] *= 3  # so that the cap bends the logits
    scalars = {"resid_lambdas": 1 + 0.2 * torch.randn(layers), "x0_lambdas": 0.3 * torch.randn(layers)}
    return tensors | scalars


def saved(tensors: Any, folder: Path, step: int = 10, prefix: str = "", **settings) -> Path:
    """A checkpoint folder; a setting of None is left out of `model_config`. Gives the file of the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"model_{step:06d}.pt"
    torch.save({prefix + name: tensor for name, tensor in tensors.items()}, file)
    config = {name: value for name, value in (MODEL_CONFIG | settings).items() if value is not None}
    meta = {"step": step, "val_bpb": 1.1, "model_config": config, "user_config": {"depth": LAYERS}}
    (folder / f"meta_{step:06d}.json").write_text(json.dumps(meta), encoding="utf-8")
    return file


def tokenizer(texts: list[str], size: int = 400) -> Tokenizer:
    """A byte-level BPE whose special tokens come last, the one that begins a document being the first of them."""
    made = Tokenizer(BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = BpeTrainer(vocab_size=size - len(SPECIAL), initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(texts, trainer)
    made.add_special_tokens([f"<|{name}|>" for name in SPECIAL])
    return made
