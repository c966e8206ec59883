"""A model's folder: weights, configuration, the code that they need, and a card that says what it is."""

from collections.abc import Mapping
from pathlib import Path

from cratelm.models.decoder import DecoderForCausalLM

SAVED = ("*.json", "*.safetensors", "*.py", "README.md")
"""Globs over the files in a model's folder."""
CARD = """---
library_name: transformers
license: apache-2.0
tags: [interpretability, {kind}]
---
# {name}

{purpose}

{facts}

Load it with cratelm installed:

    import cratelm.models
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained("this folder")

or without, trusting the code in this folder:

    model = AutoModelForCausalLM.from_pretrained("this folder", trust_remote_code=True)
"""
PURPOSE = {
    "crate": "CRATE-LM (Bai & Ma, arXiv 2410.16443): a language model with sparse coding in every layer. The units of "
    "layer N pass through the module `model.layers.N.coding.code`.",
    "crate-variant": "A relative of CRATE-LM (Bai & Ma, arXiv 2410.16443), with sparse coding in every layer; "
    "`config.json` says what differs. The units of layer N pass through the module `model.layers.N.coding.code`.",
    "gpt2-baseline": "GPT-2 as a baseline for CRATE-LM (Bai & Ma, arXiv 2410.16443). The units of layer N pass through "
    "the module `model.layers.N.mlp.hidden`.",
}


def save_model(model: DecoderForCausalLM, folder: Path, facts: Mapping[str, str]) -> None:
    """Write a model with its card, on which `facts` are listed; it loads with and without cratelm."""
    base = type(model.model)
    # transformers lists the classes that it saves; AutoModel, which vLLM asks for, has to be named.
    model.config.auto_map = {"AutoModel": f"{base.__module__.rpartition('.')[2]}.{base.__name__}"}
    model.save_pretrained(folder)
    kind = model.config.model_type
    lines = "\n".join(f"- **{name}**: {value}" for name, value in facts.items())
    card = CARD.format(kind=kind, name=type(model).__name__, purpose=PURPOSE[kind], facts=lines)
    (folder / "README.md").write_text(card, encoding="utf-8")
