"""Where a model keeps its units, by a name that is the same for every architecture.

A place is looked for in each block: the first of its modules that the block has to itself. `mlp.neurons` of a gated
block is what its last projection reads, the activation times the up projection; `:in` after a module means its input.
"""

from typing import Any

from torch import nn
from transformers import PreTrainedModel

from cratelm.errors import InputError

INPUT = ":in"
"""Behind a module's name: the site is what the module reads, not what it gives."""
NEURONS = "mlp.neurons"
PLACES = {
    NEURONS: (
        "coding.code",  # CRATE
        "mlp.hidden",  # our GPT-2
        "mlp.down_proj:in",  # Llama, Mistral, Qwen, Gemma, OLMo, Phi 3, Granite, Cohere, SmolLM, …
        "mlp.Wo:in",  # ModernBERT's decoder: its `act` is one half of a gate
        "feed_forward.w2:in",  # LFM 2
        "mlp.act",  # GPT-2, GPT-J, GPT-NeoX (Pythia), GPT-Neo, Falcon, StarCoder 2
        "mlp.c_proj:in",  # OpenAI's GPT, whose blocks share one `mlp.act`
        "mlp.gelu_impl",  # BLOOM
        "mlp.activation_fn",  # Phi 1 to 2
        "ffn.act",  # MPT
        "activation_fn",  # OPT, XGLM, BioGPT
        "intermediate",  # BERT and its relatives as decoders
    ),
    "mlp.out": ("coding", "mlp", "feed_forward", "ffn", "block_sparse_moe", "fc2"),
    "attention.out": ("self_attn", "attention", "attn", "self_attention", "linear_attn"),
    "residual": ("",),
}
"""By name, the modules within a block; an empty one is the block itself."""


def block_names(model: nn.Module) -> list[str]:
    """The model's blocks: of the lists of modules that lie in no other, as experts do, the longest one's; or none.

    Of a model that reads pictures or sound as well, those of its language model.
    """
    named = _language_model(model).named_modules(prefix=_prefix(model))
    lists = {name: len(module) for name, module in named if isinstance(module, nn.ModuleList)}
    outer = [name for name in lists if not any(name.startswith(f"{other}.") for other in lists)]
    longest = max(outer, key=lambda name: lists[name], default="")
    return [f"{longest}.{number}" for number in range(lists.get(longest, 0))]


def _language_model(model: nn.Module) -> nn.Module:
    """The part of a model that reads tokens, as transformers names it."""
    decoder = model.get_decoder() if isinstance(model, PreTrainedModel) else model
    return decoder if isinstance(decoder, PreTrainedModel) else model  # ModernBERT calls its head a decoder


def _prefix(model: nn.Module) -> str:
    """The name of that part in the model, empty where it is all of it."""
    part = _language_model(model)
    return next(name for name, module in model.named_modules() if module is part)


def sites_of(model: nn.Module, place: str) -> list[str] | None:
    """The site of a place in every block, in order; None where a block has none, or there are no blocks."""
    sites = [site for block in block_names(model) if (site := first_part(model, block, PLACES[place]))]
    return sites if sites and len(sites) == len(block_names(model)) else None


def first_part(model: nn.Module, block: str, parts: tuple[str, ...]) -> str | None:
    """The site of the first of these modules that a block has to itself; None where it has none of them."""
    known = {name for name, _ in model.get_submodule(block).named_modules()}
    own = (part for part in parts if part.removesuffix(INPUT) in known and not _shared(model, block, part))
    part = next(own, None)
    return None if part is None else f"{block}.{part}" if part.removesuffix(INPUT) else f"{block}{part}"


def _shared(model: nn.Module, block: str, part: str) -> bool:
    """Whether another block has the very same module there: it is then called once for each of them."""
    name = part.removesuffix(INPUT)
    module, beside = model.get_submodule(f"{block}.{name}".rstrip(".")), model.get_submodule(block.rpartition(".")[0])
    same = [other for other in beside.children() if name and _module_at(other, name) is module]
    return len(same) > 1


def _module_at(block: nn.Module, name: str) -> Any:
    """A module of a block by its name; None where the block has none."""
    found: Any = block
    for step in name.split("."):
        found = getattr(found, step, None)
    return found


def require_place(model: nn.Module, model_type: str, place: str) -> list[str]:
    """`sites_of`; InputError, naming the places that the model has, where it has not this one."""
    sites = sites_of(model, place)
    if sites is None:
        others = ", ".join(name for name in PLACES if name != place and sites_of(model, name))
        modules = ", ".join(name for name, _ in model.named_modules() if name)
        raise InputError(
            f"a {model_type} model has no {place} in each of its blocks, as where experts share them. Give --sites "
            f"{others or 'a glob'}, or a glob over its modules: {modules}"
        )
    return sites
