"""Models of other people's architectures with two layers and random weights, as transformers builds them."""

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

SIZES = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
}
GPT_SIZES = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}
FEWER = {"num_experts": 2, "num_local_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 8}
MIXTURES = ("mixtral", "olmoe", "qwen3_moe")
OWN = {  # of architectures that call their sizes by other names
    "gpt2": GPT_SIZES,
    "openai-gpt": GPT_SIZES,
    "gptj": GPT_SIZES | {"rotary_dim": 4},
    "gpt_neo": SIZES | {"num_layers": 2, "num_heads": 2, "attention_types": [[["global"], 2]]},
    "bloom": {"hidden_size": 16, "n_layer": 2, "n_head": 2},
    "falcon": {name: value for name, value in SIZES.items() if name != "head_dim"},
    "opt": SIZES | {"ffn_dim": 24, "word_embed_proj_dim": 16},
} | dict.fromkeys(MIXTURES, SIZES | FEWER)


def random_model(kind: str, vocabulary: int = 64, **settings) -> PreTrainedModel:
    """A model of the architecture that transformers calls `kind`."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **(OWN.get(kind, SIZES) | {"vocab_size": vocabulary} | settings))
    return AutoModelForCausalLM.from_config(config).eval()
