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
    """Activations to train on, of each site."""
    batch: Annotated[int, whole(1, 2**20)] = 4096
    """Activations in a step."""
    buffer: Annotated[int, whole(1, 2**28)] = 65_536
    """Activations of each site that are read together and mixed."""
    learning_rate: Annotated[float, number(above=0, most=1000)] = 1e-3
    """Adam's, after the warm-up."""
    warmup: Annotated[int, whole(0)] = 1000
    """Steps in which the learning rate rises; a tenth of all steps where that is less."""
    dtype: Dtype = "float32"
    """The type of the model's weights and of its forward pass: `auto` as its config.json says."""
    documents: Annotated[int, whole(1)] = 200
    """Validation documents that the quality is measured on, from the first."""

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
    """A place (mlp.neurons, mlp.out, attention.out or residual), or a glob over the model's modules, such as
    '*.mlp.act'; with ':in' after it, over what modules read. By default the neurons of each layer's MLP, or its
    code."""
    arch: str = "topk"
    """`standard`: ReLU and an L1 penalty; `topk`: the k largest latents of each token, the others 0."""
    width: str = "16x"
    """Latents for each coordinate of the site, such as 1x, 4x or 16x."""
    k: Annotated[int, whole(1, 1_000_000)] = 32
    """Latents that may fire at a token, of `topk`."""
    l1: Annotated[float, number(least=0, most=1e6)] = 8e-5
    """The penalty of `standard`, in the paper's terms: next to |x - x'|^2 / |x| as a mean over coordinates."""
    seed: Seed = 0
    """Seed of the first weights and of the order of the text."""

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
    """Their sizes, WIDTH-kK with commas between them: a model's latents for each of its units, and how many of them
    may fire at a token. 1x is as many latents as the model has units."""
    tokens: Annotated[int, whole(1)] = 1_000_000
    """Activations to train on, of each layer."""
    batch: Annotated[int, whole(1, 2**20)] = 1024
    """Activations in a step."""
    learning_rate: Annotated[float, number(above=0, most=1000)] = 3e-3
    """Adam's, after the warm-up."""

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
