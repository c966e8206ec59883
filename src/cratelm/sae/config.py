"""What training sparse autoencoders can be told."""

from dataclasses import dataclass

from cratelm.errors import InputError

ARCHITECTURES = ("standard", "topk")


@dataclass(frozen=True, kw_only=True)
class SaeConfig:
    """Sparse autoencoders of one kind, one a site, on one stream of activations.

    With `arch standard` the defaults are the paper's recipe, as far as SAELens has it: docs/sae.md.
    """

    sites: str | None = None
    """A glob over the model's modules, such as '*.mlp.act'; the layers' codes where nothing is said."""
    arch: str = "topk"
    """`standard`: ReLU and an L1 penalty; `topk`: the k largest latents of each token, the others 0."""
    width: str = "16x"
    """Latents for each coordinate of the site, such as 1x, 4x or 16x."""
    k: int = 32
    """Latents that may fire at a token, of `topk`."""
    l1: float = 8e-5
    """The penalty of `standard`, in the paper's terms: beside |x - x'|^2 / |x| as a mean over coordinates."""
    tokens: int = 4_000_000
    """Activations to train on, of each site."""
    batch: int = 4096
    """Activations in a step."""
    buffer: int = 65_536
    """Activations of each site that are read together and mixed."""
    learning_rate: float = 4e-4
    """Adam's, after the warm-up."""
    warmup: int = 1000
    """Steps in which the learning rate rises; a tenth of all steps where that is less."""
    documents: int = 200
    """Validation documents that the quality is measured on, from the first."""
    seed: int = 0
    """Seed of the first weights and of the order of the text."""

    def __post_init__(self) -> None:
        if self.arch not in ARCHITECTURES:
            raise InputError(f"--arch {self.arch}: choose from {', '.join(ARCHITECTURES)}.")
        if self.times < 1:
            raise InputError(f"--width {self.width}: an autoencoder has 1x as many latents as coordinates, or more.")
        if min(self.k, self.tokens, self.batch, self.documents) < 1 or self.warmup < 0:
            raise InputError("sae: k, tokens, batch and documents must be 1 or more, warmup 0 or more.")
        if self.buffer < self.batch:
            raise InputError(f"--buffer {self.buffer} holds no batch of {self.batch}: give a larger one.")
        if not (self.l1 >= 0 and self.learning_rate > 0):
            raise InputError("sae: l1 must be 0 or more, learning_rate above 0.")

    @property
    def times(self) -> int:
        """The N of `Nx`."""
        number = self.width.removesuffix("x")
        if number == self.width or not number.isdecimal():
            raise InputError(f"--width {self.width}: give a whole number of times, such as 1x, 4x or 16x.")
        return int(number)

    def latents(self, coordinates: int) -> int:
        """How many latents a site of so many coordinates gets; InputError where k is more."""
        latents = self.times * coordinates
        if self.arch == "topk" and self.k > latents:
            raise InputError(f"--k {self.k} is above the width: the autoencoder has {latents} latents.")
        return latents
