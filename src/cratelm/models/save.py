"""A model's folder: weights, configuration, the code that they need, and a card that says what it is."""

from collections.abc import Mapping
from pathlib import Path

from cratelm.families import family_of
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


def save_model(model: DecoderForCausalLM, folder: Path, facts: Mapping[str, str]) -> None:
    """Write a model with its card, on which `facts` are listed; it loads with and without cratelm."""
    base = type(model.model)
    # transformers lists the classes that it saves; AutoModel, which vLLM asks for, has to be named.
    model.config.auto_map = {"AutoModel": f"{base.__module__.rpartition('.')[2]}.{base.__name__}"}
    model.save_pretrained(folder)
    family = family_of(model.config.model_type)
    assert family is not None, "the models that are trained here are registered"
    lines = "\n".join(f"- **{name}**: {value}" for name, value in facts.items())
    card = CARD.format(kind=family.model_type, name=type(model).__name__, purpose=family.purpose, facts=lines)
    (folder / "README.md").write_text(card, encoding="utf-8")
