"""What training sparse autoencoders can be told."""

import re
from dataclasses import asdict, dataclass
from typing import Annotated

from cratelm.errors import InputError
from cratelm.loading import Dtype
from cratelm.ranges import Configuration, Seed, number, shown, whole

ARCHITECTURES = ("standard", "topk")


@dataclass(frozen=True, kw_only=True)
class SaeTraining(Configuration):
    """How autoencoders are trained and measured, whatever their kind and size."""

    tokens: Annotated[int, whole(1)] = 4_000_000
    """How many activations of each site the autoencoders are trained on."""
    batch: Annotated[int, whole(1, 2**20)] = 4096
    """Activations in a training step."""
    buffer: Annotated[int, whole(1, 2**28)] = 65_536
    """How many activations of each site are held in memory and shuffled."""
    learning_rate: Annotated[float, number(above=0, most=1000)] = 1e-3
    """Adam's learning rate after the warm-up."""
    warmup: Annotated[int, whole(0)] = 1000
    """Steps over which the learning rate rises, at most a tenth of all steps."""
    dtype: Dtype = "float32"
    """The type of the model's weights and of its forward pass; `auto` is what its config.json says."""
    documents: Annotated[int, whole(1)] = 200
    """How many validation documents the quality is measured on, from the first."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.buffer < self.batch:
            raise InputError(f"--buffer {self.buffer} holds no batch of {self.batch}: give a larger one.")


@dataclass(frozen=True, kw_only=True)
class SaeConfig(SaeTraining):
    """Sparse autoencoders of one kind, one a site, on one stream of activations.

    The defaults are TopK's, for codes of some hundred coordinates; the paper's recipe is a preset (docs/sae.md).
    """

    sites: str | None = None
    """Which activations are reconstructed: a place in each block (mlp.neurons, mlp.out, attention.out or residual), or
    a glob over the names of the model's modules, such as '*.mlp.act', with ':in' after it for their inputs. By default
    the neurons of each layer's MLP; in CRATE each layer's sparse code."""
    arch: str = "topk"
    """The kind: `standard` (ReLU and an L1 penalty) or `topk` (the k largest latents of each token, the others 0)."""
    width: str = "16x"
    """How many latents there are for each coordinate of the site, such as 1x, 4x or 16x."""
    k: Annotated[int, whole(1, 1_000_000)] = 32
    """With --arch topk: how many latents may fire at a token."""
    l1: Annotated[float, number(least=0, most=1e6)] = 8e-5
    """With --arch standard: the weight of the L1 penalty, next to |x - x'|^2 / |x| as a mean over coordinates."""
    seed: Seed = 0
    """Seed of the initial weights and of the order of the text."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.arch not in ARCHITECTURES:
            raise InputError(f"--arch {self.arch}: choose from {', '.join(ARCHITECTURES)}.")
        if self.times < 1:
            raise InputError(f"width {self.width}: an autoencoder has 1x as many latents as coordinates, or more.")

    @property
    def times(self) -> int:
        """The N of `Nx`; InputError for a width of another form."""
        match = re.fullmatch(r"([0-9]{1,4})x", self.width)
        if match is None:
            raise InputError(f"width {shown(self.width)}: give a whole number of times, such as 1x, 4x or 16x.")
        return int(match[1])

    def latents(self, coordinates: int) -> int:
        """How many latents a site of so many coordinates gets; InputError where k is more."""
        latents = self.times * coordinates
        if self.arch == "topk" and self.k > latents:
            raise InputError(f"k = {self.k} is above the width: the autoencoder has {latents} latents.")
        return latents


@dataclass(frozen=True, kw_only=True)
class StudySaeConfig(SaeTraining):
    """The TopK autoencoders of a study, the same for every model that is compared."""

    dictionaries: str = "1x-k32,1x-k120"
    """The sizes of the autoencoders, WIDTH-kK with commas between them. WIDTH is the number of latents for each unit of
    the model, and K how many of them may fire at a token."""
    tokens: Annotated[int, whole(1)] = 1_000_000
    """How many activations of each layer the autoencoders are trained on."""
    batch: Annotated[int, whole(1, 2**20)] = 1024
    """Activations in a training step."""
    learning_rate: Annotated[float, number(above=0, most=1000)] = 3e-3
    """Adam's learning rate after the warm-up."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.names)) < len(self.names):
            raise InputError(f"saes: {self.dictionaries} names one twice.")
        for name in self.names:
            self.dictionary(name, 0)

    @property
    def names(self) -> list[str]:
        """The names in `dictionaries`."""
        return [name.strip() for name in self.dictionaries.split(",")]

    def dictionary(self, name: str, seed: int) -> SaeConfig:
        """What trains the dictionary of that name; InputError where it is none."""
        match = re.fullmatch(r"([0-9]{1,4}x)-k([0-9]{1,7})", name)
        if match is None:
            raise InputError(f"saes: there is no dictionary {name!r}: write WIDTH-kK, such as 1x-k32 or 4x-k64.")
        shared = {key: value for key, value in asdict(self).items() if key != "dictionaries"}
        return SaeConfig(width=match[1], k=int(match[2]), seed=seed, **shared)
