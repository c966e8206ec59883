"""Models by name and size."""

from dataclasses import dataclass

from cratelm.errors import InputError

MODELS = ("crate", "gpt2")


@dataclass(frozen=True, kw_only=True)
class ShapeConfig:
    """The size of a model, the same for every model of a comparison."""

    layers: int = 2
    """L, the number of layers."""
    width: int = 128
    """d, the width of the token stream; a layer has 4 d units."""
    heads: int = 4
    """K, the number of attention heads (for CRATE, of subspaces)."""
    context: int = 256
    """The longest input in tokens."""

    def __post_init__(self) -> None:
        if min(self.layers, self.width, self.heads, self.context) < 1 or self.width % self.heads:
            raise InputError(
                f"shape: layers {self.layers}, width {self.width}, heads {self.heads} and context {self.context} must "
                "be 1 or more, and width a multiple of heads."
            )


def require_model(name: str) -> str:
    """Refuse a model name that there is none of."""
    if name not in MODELS:
        raise InputError(f"unknown model {name!r}: choose from {', '.join(MODELS)}.")
    return name
