"""A new model from a name, a shape and a seed."""

import torch

from cratelm.models import BaselineConfig, BaselineForCausalLM, CrateConfig, CrateForCausalLM
from cratelm.models.decoder import DecoderForCausalLM
from cratelm.models.shapes import ShapeConfig, require_model

CLASSES = {"crate": (CrateConfig, CrateForCausalLM), "gpt2": (BaselineConfig, BaselineForCausalLM)}


def build_model(name: str, shape: ShapeConfig, vocabulary: int, end_of_text: int, seed: int) -> DecoderForCausalLM:
    """A model with random weights, which are a function of the arguments alone."""
    config_class, model_class = CLASSES[require_model(name)]
    config = config_class(
        vocab_size=vocabulary,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=shape.context,
        bos_token_id=end_of_text,
        eos_token_id=end_of_text,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model_class(config)
