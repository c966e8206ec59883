"""OpenAI's GPT-2 weights, from a folder or the hub, as our baseline with GELU and biases."""

from pathlib import Path
from typing import Any

import torch
from huggingface_hub import is_offline_mode
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, GPT2Config, GPT2LMHeadModel

from cratelm.errors import InputError, first_line
from cratelm.models import BaselineConfig, BaselineForCausalLM
from cratelm.models.checkpoint_file import load_exactly
from cratelm.models.load import require_fitting, require_unquantised
from cratelm.models.official import require_tied

LAYER = {
    "ln_1": "attention_norm",
    "attn.c_proj": "attention.output_proj",
    "ln_2": "mlp_norm",
    "mlp.c_fc": "mlp.up_proj",
    "mlp.c_proj": "mlp.down_proj",
}


ACTIVATIONS = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu_new",
    "gelu_pytorch_tanh": "gelu_new",
    "gelu_fast": "gelu_new",
}
"""Our names of transformers' activations; the last three are one formula."""
UNSUPPORTED = ("scale_attn_by_inverse_layer_idx", "add_cross_attention")


def import_gpt2(source: str) -> BaselineForCausalLM:
    """The GPT-2 in a folder, or of a hub name where the hub is allowed, with the same logits.

    Raises InputError where there is none, one of its settings has no place here, or its weights do not fit them.
    """
    theirs = _load(source)
    config = theirs.config
    if any(getattr(config, name) for name in UNSUPPORTED) or not config.scale_attn_weights:
        raise InputError(f"{source}: attention scaled by the layer or not at all, or across texts, is not supported.")
    if config.activation_function not in ACTIVATIONS:
        raise InputError(
            f"{source}: its activation_function {config.activation_function} is none of {', '.join(ACTIVATIONS)}. "
            "The folder can be recorded as it is, without an import."
        )
    require_tied(theirs.lm_head.weight, theirs.transformer.wte.weight, source)
    ours = BaselineForCausalLM(
        BaselineConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.n_embd,
            num_hidden_layers=config.n_layer,
            num_attention_heads=config.n_head,
            intermediate_size=config.n_inner,
            max_position_embeddings=config.n_positions,
            layer_norm_eps=config.layer_norm_epsilon,
            activation=ACTIVATIONS[config.activation_function],
            bias=True,
            bos_token_id=config.bos_token_id,
            eos_token_id=config.eos_token_id,
        )
    )
    load_exactly(ours, _to_ours(dict(theirs.transformer.state_dict()), config.n_layer), source)
    return ours


def _load(source: str) -> GPT2LMHeadModel:
    """transformers' own model, every tensor of which the folder holds, and no others."""
    try:
        kind = AutoConfig.from_pretrained(source, trust_remote_code=False).model_type
        if kind != GPT2Config.model_type:
            raise InputError(f"{source} holds a {kind} model. GPT-2 can be imported; others are recorded as they are.")
        require_unquantised(Path(source))
        loaded: Any = GPT2LMHeadModel.from_pretrained(
            source,
            dtype=torch.float32,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # so that the report names them: see below
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError, StrictDataclassError) as error:
        if is_offline_mode() and not Path(source).exists():
            raise InputError(
                f"there is no file or folder {source}. The hub was not asked, because it is off: HF_HUB_OFFLINE=0 "
                "turns it on."
            ) from error
        raise InputError(f"no GPT-2 weights at {source}: {first_line(error).rstrip('.')}.") from error
    theirs, report = loaded
    require_fitting(report, source)
    return theirs


def _to_ours(theirs: dict[str, torch.Tensor], layers: int) -> dict[str, torch.Tensor]:
    """GPT-2's Conv1D holds weights (in, out), a linear layer (out, in)."""
    ours = {
        "model.embed_tokens.weight": theirs["wte.weight"],
        "model.embed_positions.weight": theirs["wpe.weight"],
        "model.norm.weight": theirs["ln_f.weight"],
        "model.norm.bias": theirs["ln_f.bias"],
    }
    for index in range(layers):
        for kind in ("weight", "bias"):
            pieces = theirs[f"h.{index}.attn.c_attn.{kind}"].chunk(3, dim=-1)
            for part, piece in zip(("query", "key", "value"), pieces, strict=True):
                ours[f"model.layers.{index}.attention.{part}_proj.{kind}"] = (
                    piece.T.contiguous() if piece.ndim == 2 else piece
                )
            for their_name, our_name in LAYER.items():
                tensor = theirs[f"h.{index}.{their_name}.{kind}"]
                ours[f"model.layers.{index}.{our_name}.{kind}"] = tensor.T.contiguous() if tensor.ndim == 2 else tensor
    return ours
