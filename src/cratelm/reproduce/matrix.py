"""What is trained and measured to answer the paper: a list of cells, each one training of one model.

The primary endpoint is named here, before any cell is run: random-only, strict, explainer `table`, mean over layers,
CRATE minus GPT-2, paired by training seed, at each number of layers of the corpus `reviews`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from cratelm.models.shapes import ShapeConfig
from cratelm.presets import StudyConfig, preset, train_preset
from cratelm.score.config import CORRELATIONS
from cratelm.training.config import TrainingConfig

PAIR = ("crate", "gpt2")
"""What the paper compares."""
RIVAL = "crate-alpha"
"""The relative of CRATE that stands beside the two at every size; chosen before any cell was run."""
SIZES = (1, 2, 3)
SEEDS = (0, 1, 2)
CORPORA = ("reviews", "python-source")
SNAPSHOTS = "0.1,0.25,0.5"
ABLATIONS = (
    "gpt2-l1",
    "gpt2-topk",
    "gpt2-mssa",
    "crate+ista_threshold=0.0",
    "crate+ista_threshold=0.4",
    "crate-1step",
    "crate-4step",
    "crate-residual",
    "crate-decoupled",
    "crate-query",
    "crate-separate",
    "crate-alpha-query",
    "crate-alpha-separate",
)
"""What the paper's reviewers asked for, at L = 2: ISTA against ReLU, L1 and TopK; MSSA against separate queries, keys
and values; thresholds; steps; the residual; decoupled decoding; a low-rank query."""
WINDOWS = (1, 2)
"""Tokens that a layer attends to where context is taken away from the pair, at L = 2: at 1 a unit depends on the token
and its position alone, at 2 on three tokens. What the answer would mean was written down before any of these cells was
run: as much of CRATE's lead as is there at 1 is not owed to context, since neither model has any. On the second
corpus at 1 alone: added when CRATE had been seen to lose less than bigrams there, which it does not on the first."""
LONGER = 24_000_000
"""Tokens of the pair, and of CRATE without context, where they are trained for three times as long, at L = 2. Added
when CRATE had been seen to use no context after 8 million, and to use some after this, in one seed."""
EXPLAINERS = ("table", "graph")
BEYOND = ("auroc", "consistency", "specificity")
"""What is measured beside the paper's three correlations."""
PAPER = {"paper-1l": "1L", "paper-2l": "2L", "paper-3l": "3L", "paper-6l": "6L", "paper-12l": "12L"}
"""Presets of training by the paper's names of their sizes."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training, and everything that is measured of it."""

    group: str
    """`sizes`, `ablations`, `context`, `longer` or `vocabulary`: the question that it helps to answer."""
    model: str
    layers: int
    seed: int
    corpus: str = "reviews"
    tokenizer: str = "bpe:4096"
    tokens: int = 8_000_000
    """Tokens of training."""

    @property
    def text(self) -> str:
        """The name of its corpus and tokenizer, which cells share."""
        return f"{self.corpus}-{self.tokenizer.replace(':', '')}"

    @property
    def name(self) -> str:
        """Of its files."""
        longer = f"-{self.tokens // 1_000_000}M" if self.group == "longer" else ""
        return f"{self.text}-L{self.layers}-{self.model}{longer}-s{self.seed}"

    @property
    def in_full(self) -> bool:
        """Whether it is measured along its training, by the paper's protocol, and with sparse autoencoders as well:
        where the pair is compared on the first corpus. The second one asks the primary question alone.
        """
        return self.group == "sizes" and self.model in PAIR and self.corpus == CORPORA[0]

    def study(self) -> StudyConfig:
        """How it is trained and measured: the laptop preset, but for what the cell says."""
        base = preset("laptop")
        return replace(
            base,
            corpus=replace(base.corpus, corpus=self.corpus, tokenizer=self.tokenizer),
            models=self.model,
            shape=replace(base.shape, layers=self.layers),
            training=replace(base.training, tokens=self.tokens, snapshots=SNAPSHOTS if self.in_full else ""),
            explain=replace(base.explain, explainer=",".join((*EXPLAINERS, "table-full"))),
            score=replace(base.score, metric=",".join((*CORRELATIONS, *BEYOND))),
            seed=self.seed,
        )


def windowed(model: str, window: int | None) -> str:
    """The name of a model whose layers attend to so many tokens; of the model itself, without a window."""
    return model if window is None else f"{model}+sliding_window={window}"


def laptop() -> list[Cell]:
    """The matrix for two cores: what answers most first."""
    sizes = [
        Cell(group="sizes", model=model, layers=layers, seed=seed, corpus=corpus)
        for corpus in CORPORA
        for seed in SEEDS
        for layers in SIZES
        for model in (*PAIR, RIVAL)
    ]
    ablations = [Cell(group="ablations", model=model, layers=2, seed=seed) for seed in SEEDS for model in ABLATIONS]
    context = [
        Cell(group="context", model=windowed(model, window), layers=2, seed=seed, corpus=corpus)
        for corpus, windows in zip(CORPORA, (WINDOWS, WINDOWS[:1]), strict=True)
        for seed in SEEDS
        for window in windows
        for model in PAIR
    ]
    longer = [
        Cell(group="longer", model=model, layers=2, seed=seed, tokens=LONGER)
        for seed in SEEDS
        for model in (*PAIR, windowed("crate", 1))
    ]
    wide = [Cell(group="vocabulary", model=m, layers=2, seed=0, tokenizer="gpt2") for m in PAIR]
    return sorted(
        [*sizes, *ablations, *context, *longer, *wide], key=lambda cell: (cell.corpus != "reviews", cell.seed)
    )


def quick() -> list[Cell]:
    """One pair, for a look: one seed, 3 million tokens."""
    return [Cell(group="sizes", model=model, layers=2, seed=0, tokens=3_000_000) for model in PAIR]


def paper() -> Iterable[tuple[str, str, ShapeConfig, TrainingConfig]]:
    """The paper's grid: its size's name, the model, the shape and the recipe of training."""
    for name, size in PAPER.items():
        config = train_preset(name)
        for model in PAIR:
            yield size, model, config.shape, config.training
