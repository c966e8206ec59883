"""Where TransformerLens's hook points are in a model of transformers, by block: `blocks.3.hook_resid_post`.

A hook point is looked for in its block as a place is (places.py): the first of its modules that the block has. Where a
module adds the residual to what it gives, or a norm follows it before the sum, the module that a hook point means is
another one than the place's; so each has a list of its own. Attention's heads lie side by side in `attn.hook_z`.
"""

import re
from fnmatch import fnmatchcase

from torch import nn

from cratelm.errors import InputError
from cratelm.units.places import INPUT, NEURONS, PLACES, block_names, first_part

HOOK_POINTS = {
    "hook_resid_pre": (INPUT,),
    "hook_resid_post": ("",),
    "hook_attn_out": (
        "post_self_attn_layernorm",  # GLM 4
        "self_attention.dense",  # BLOOM, whose attention adds the residual; Falcon
        *PLACES["attention.out"],
    ),
    "attn.hook_z": (
        "self_attn.o_proj:in",  # Llama, Mistral, Qwen, Gemma, OLMo, Phi 3, StarCoder 2, …
        "self_attn.out_proj:in",  # OPT, XGLM, LFM 2
        "self_attn.dense:in",  # Phi 1 to 2
        "attention.dense:in",  # GPT-NeoX
        "attention.output_proj:in",  # ours
        "attn.attention.out_proj:in",  # GPT-Neo
        "attn.c_proj:in",  # GPT-2
        "attn.out_proj:in",  # GPT-J, MPT
        "self_attention.dense:in",  # Falcon, BLOOM
    ),
    "mlp.hook_in": ("mlp:in", "coding:in", "feed_forward:in", "ffn:in", "fc1:in"),
    "mlp.hook_post": PLACES[NEURONS],
    "hook_mlp_out": (
        "post_mlp_layernorm",  # GLM 4
        "post_feedforward_layernorm",  # Gemma 2 and 3, OLMo 2 and 3, EXAONE 4
        "mlp.dense_4h_to_h",  # BLOOM, whose MLP adds the residual; GPT-NeoX, Falcon
        "ffn.down_proj",  # MPT, likewise
        *PLACES["mlp.out"],
    ),
}
"""By name within a block, the modules that a block may have there, as in places.py."""
BOTH_NORMS = ("post_feedforward_layernorm", "post_attention_layernorm")
"""Where a block has both, attention passes through the second before it is added. Llama has the second alone."""
OTHERS = ("*.intermediate", "*.output.LayerNorm")
"""Modules of BERT and its relatives, whose blocks end in a norm: hook points mean something else there."""


def site_of_hook(model: nn.Module, hook: str) -> str:
    """The site that a hook point of TransformerLens, or a module's name as such, means in a model.

    Raises InputError, naming what the model has, where it has nothing at that hook point.
    """
    known = {name for name, _ in model.named_modules() if name}
    if hook.removesuffix(INPUT) in known:
        return hook
    blocks = block_names(model)
    found = re.fullmatch(r"blocks\.(\d+)\.(.+)", hook)
    site = _site(model, blocks[int(found[1])], found[2]) if found and int(found[1]) < len(blocks) else None
    if site is None:
        raise InputError(
            f"an autoencoder reads or writes {hook}, which is at no place of this model that is known. Known are "
            f"{', '.join(hooks_of(model)) or 'none'} (N from 0 to {len(blocks) - 1}), and the names of its modules."
        )
    return site


def hooks_of(model: nn.Module) -> list[str]:
    """The hook points that a model has in its first block."""
    blocks = block_names(model)
    return [f"blocks.N.{hook}" for hook in HOOK_POINTS if blocks and _site(model, blocks[0], hook)]


def _site(model: nn.Module, block: str, hook: str) -> str | None:
    parts = HOOK_POINTS.get(hook, ())
    inside = [f".{name}" for name, _ in model.get_submodule(block).named_modules()]
    if any(fnmatchcase(name, other) for name in inside for other in OTHERS):
        return None
    if hook == "hook_attn_out" and all(f".{norm}" in inside for norm in BOTH_NORMS):
        parts = BOTH_NORMS[1:]
    return first_part(model, block, parts)
