"""A model's folder: weights, configuration, the code that they need, and a card that says what it is."""

from collections.abc import Mapping
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from cratelm.corpus.tokenizer import end_of_text_id
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


def save_tokenizer(tokenizer: Tokenizer, context: int, folder: Path) -> None:
    """Write the tokenizer of a model that was trained on documents after an end-of-text token, next to its weights."""
    # A tokenizer of another model may put a token before a text that this model never saw.
    plain = Tokenizer.from_str(tokenizer.to_str())
    plain.post_processor = TemplateProcessing(single="$A:0", pair="$A:0 $B:1")
    end = plain.id_to_token(end_of_text_id(plain))
    ends = {"bos_token": end, "eos_token": end}
    PreTrainedTokenizerFast(tokenizer_object=plain, model_max_length=context, **ends).save_pretrained(folder)
