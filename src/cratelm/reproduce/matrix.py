"""What is trained and measured to answer the paper: cells, each one training of one model.

The primary endpoint is random-only, strict, explainer `table`, mean over layers, CRATE minus GPT-2, paired by training
seed, at each number of layers of the corpus `reviews`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cratelm.corpus.config import CorpusConfig
from cratelm.presets import StudyConfig, preset, train_preset
from cratelm.protocols import PAPER_METRICS
from cratelm.score.metrics.whole_text import WHOLE_TEXT

PAIR = ("crate", "gpt2")
"""What the paper compares."""
RIVAL = "crate-alpha"
"""The relative of CRATE that is run at every size too."""
SIZES = (1, 2, 3)
DESIGNS_AT = 2
"""Layers of the models whose designs are compared."""
SEEDS = (0, 1, 2)
CORPORA = ("reviews", "python-source")
TOKENIZER = "bpe:4096"
PILE = "pile"
"""The name here of the paper's corpus."""
SNAPSHOTS = "0.1,0.25,0.5"
QUICK = 3_000_000
"""Tokens of training for a look."""
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
    "crate-rotary",
    "crate-alpha-rotary",
)
"""What the paper's reviewers asked for, at DESIGNS_AT: ISTA against ReLU, L1 and TopK; MSSA against separate queries,
keys and values; thresholds; steps; the residual; decoupled decoding; a low-rank query. And rotary positions, which tell
before from behind without untying anything."""
ON_BOTH_CORPORA = "crate-alpha-rotary"
"""The design that has GPT-2's loss and a higher score on the first corpus: does it on the second?"""
WINDOWS = (1, 2)
"""Tokens that a layer attends to where context is taken away from the pair, at DESIGNS_AT: at 1 a unit depends on the
token and its position alone, at 2 on three tokens. As much of CRATE's lead as is there at 1 is not due to context,
since neither model has any. On the second corpus at 1 alone."""
LONGER = 24_000_000
"""Tokens of the pair, and of CRATE without context, where they are trained for three times as long, at DESIGNS_AT."""
CODE = "python-packages"
"""A corpus on which context is worth more to both models of the pair."""
CODE_TOKENS = 24_000_000
"""Tokens of training on it. At a third as many, context is worth twice as much to CRATE on Python source as it is to
GPT-2 on reviews."""
CODE_RATE = 4e-3
"""The peak of the learning rate there: the better of this and half of it for both of the pair, at 10 million tokens
(docs/log.md)."""
CODE_SIZES = (2, 3)
CODE_TWIN_SEEDS = SEEDS[:2]
"""Seeds of the pair without context, which says what context is worth."""
CODE_DESIGNS = (
    "crate-rotary",
    "crate-alpha-rotary",
    "crate-alpha-separate",
    "crate-alpha-query",
    "crate+sliding_window=2",
)
"""Designs that came near to the pair's edge of loss and score, or might."""
EXPLAINERS, CEILING = ("table", "graph"), "table-full"
"""By name, as the metrics are: what cells hold does not depend on the packages that offer more."""
BEYOND = ("auroc", "consistency", "specificity")
"""Metrics in addition to the paper's three correlations."""
PAPER_SIZES = (1, 2, 3, 6, 12)
"""Layers of the paper's models."""
RECORDED = 8_192_000
"""Tokens that are read of each half of the paper's corpus: as many as the paper's code reads."""
PAPER_CORPUS = CorpusConfig(
    corpus="hub:monology/pile-uncopyrighted:train/*.jsonl.zst",
    tokenizer="gpt2",
    validation_share=1e-4,
    explain_share=1e-4,
    score_share=1e-4,
)
"""The Pile without what had to be taken out of it; a ten-thousandth of it is more than is measured on."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training, and everything that is measured of it."""

    group: str
    """`sizes`, `ablations`, `context`, `longer`, `code` or `vocabulary`: the question that it helps to answer."""
    model: str
    layers: int
    seed: int
    corpus: str = CORPORA[0]
    tokenizer: str = TOKENIZER
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
        """Whether it is measured along its training and by the paper's protocol as well: where the pair is compared.
        The laptop's second corpus asks the primary question alone.
        """
        asked = self.corpus != CORPORA[1] if self.group == "sizes" else self.group == "code"
        return asked and self.model in PAIR

    @property
    def has_autoencoders(self) -> bool:
        """Whether sparse autoencoders are fitted to it, and measured: where the paper did so."""
        return self.in_full and self.layers in SIZES

    def study(self) -> StudyConfig:
        """How it is trained and measured: a preset's recipe, but for what the cell says."""
        base = preset("laptop")
        return replace(
            self._of_the_paper(base) if self.corpus == PILE else self._of_the_laptop(base),
            models=self.model,
            explain=replace(base.explain, explainer=",".join((*EXPLAINERS, CEILING))),
            score=replace(base.score, metric=",".join((*PAPER_METRICS, *BEYOND, WHOLE_TEXT.name))),
            seed=self.seed,
        )

    def _of_the_laptop(self, base: StudyConfig) -> StudyConfig:
        on_its_way, saes = SNAPSHOTS, base.saes
        if self.tokens <= QUICK:
            on_its_way, saes = "0.25", replace(saes, dictionaries="1x-k32", tokens=self.tokens // 8)
        return replace(
            base,
            corpus=replace(base.corpus, corpus=self.corpus, tokenizer=self.tokenizer),
            shape=replace(base.shape, layers=self.layers),
            training=replace(
                base.training,
                tokens=self.tokens,
                snapshots=on_its_way if self.in_full else "",
                learning_rate=CODE_RATE if self.group == "code" else base.training.learning_rate,
            ),
            saes=saes,
        )

    def _of_the_paper(self, base: StudyConfig) -> StudyConfig:
        size = train_preset(f"paper-{self.layers}l")
        return replace(
            base,
            corpus=PAPER_CORPUS,
            shape=size.shape,
            training=size.training,
            records=replace(base.records, tokens=RECORDED),
            saes=replace(base.saes, dictionaries="1x-k32,1x-k120,16x-k32", tokens=100_000_000),
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
    ablations = [
        Cell(group="ablations", model=model, layers=DESIGNS_AT, seed=seed) for seed in SEEDS for model in ABLATIONS
    ]
    ablations += [
        Cell(group="ablations", model=ON_BOTH_CORPORA, layers=DESIGNS_AT, seed=seed, corpus=CORPORA[1])
        for seed in SEEDS
    ]
    context = [
        Cell(group="context", model=windowed(model, window), layers=DESIGNS_AT, seed=seed, corpus=corpus)
        for corpus, windows in zip(CORPORA, (WINDOWS, WINDOWS[:1]), strict=True)
        for seed in SEEDS
        for window in windows
        for model in PAIR
    ]
    longer = [
        Cell(group="longer", model=model, layers=DESIGNS_AT, seed=seed, tokens=LONGER)
        for seed in SEEDS
        for model in (*PAIR, windowed("crate", 1))
    ]
    code = [
        Cell(group="code", model=model, layers=layers, seed=seed, corpus=CODE, tokens=CODE_TOKENS)
        for layers, seed, models in _on_code()
        for model in models
    ]
    wide = [Cell(group="vocabulary", model=m, layers=DESIGNS_AT, seed=0, tokenizer="gpt2") for m in PAIR]
    return sorted(
        [*sizes, *ablations, *context, *longer, *wide, *code], key=lambda cell: (cell.corpus != CORPORA[0], cell.seed)
    )


def _on_code() -> list[tuple[int, int, Sequence[str]]]:
    """Layers, seed, models: what decides first."""
    twins = [windowed(model, 1) for model in PAIR]
    return [
        *((DESIGNS_AT, seed, PAIR) for seed in SEEDS),
        *((DESIGNS_AT, seed, twins) for seed in CODE_TWIN_SEEDS),
        (DESIGNS_AT, SEEDS[0], CODE_DESIGNS),
        *((layers, seed, PAIR) for layers in CODE_SIZES if layers != DESIGNS_AT for seed in SEEDS),
    ]


def quick() -> list[Cell]:
    """One pair, for a look: one seed."""
    return [Cell(group="sizes", model=model, layers=DESIGNS_AT, seed=0, tokens=QUICK) for model in PAIR]


def paper() -> list[Cell]:
    """The paper's own grid, one seed: the pair at its five sizes, on its corpus, by the recipe of its code."""
    tokens = train_preset("paper-12l").training.tokens
    return [
        Cell(group="sizes", model=model, layers=layers, seed=0, corpus=PILE, tokenizer="gpt2", tokens=tokens)
        for layers in PAPER_SIZES
        for model in PAIR
    ]
