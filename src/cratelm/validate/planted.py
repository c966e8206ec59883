"""Planted units: activations made by a rule over real text, which an explainer has to find in held-out text."""

from collections.abc import Mapping
from itertools import islice

import numpy as np
from tokenizers import Tokenizer

from cratelm.corpus.packaged import PACKAGED
from cratelm.corpus.read_tokens import Side
from cratelm.corpus.token_text import token_texts
from cratelm.corpus.tokenizer import end_of_text_id, gpt2_tokenizer
from cratelm.explain.explainer import Explanations
from cratelm.explain.registry import EXPLAINERS
from cratelm.protocols import LONG
from cratelm.records.excerpts import Excerpts
from cratelm.records.tiling import Tiling, cut_half
from cratelm.seeds import derive_seed
from cratelm.stats import pearson
from cratelm.validate.planted_context import Rule, earlier, fires_in
from cratelm.validate.puzzles import RECOVERED, Recovery

DOCUMENTS = 3000
"""Film reviews that the units are planted in: every second one is shown, the others are held out."""
SHOWN, SCORED = 5, 5
"""Top excerpts that an explainer sees, and top and random ones that it is scored on: the metric top-and-random."""


def _is(*words: str) -> Rule:
    return lambda tokens, place, texts: fires_in(tokens, texts, lambda text: text in words)


def _after(first: Rule, then: Rule | None = None) -> Rule:
    """Where `first` holds one token earlier, and `then` at the token itself."""

    def fires(tokens: np.ndarray, place: np.ndarray, texts: list[str]) -> np.ndarray:
        holds = earlier(first(tokens, place, texts))
        return holds if then is None else holds & then(tokens, place, texts)

    return fires


PLANTED: dict[str, Rule] = {
    "a word": _is(" film"),
    "one of three words": _is(" good", " great", " excellent"),
    "a bigram": _after(_is(" of"), _is(" the")),
    "a word only after another": _after(_is(" I"), _is(" was")),
    "digits": lambda tokens, place, texts: fires_in(tokens, texts, lambda text: text.strip().isdigit()),
    "after a comma": _after(_is(",")),
    "after a line break": _after(_is("\n")),
    "the first token": lambda tokens, place, texts: place[:, None] + np.arange(tokens.shape[1]) == 0,
    "everything": lambda tokens, place, texts: np.ones(tokens.shape, bool),
    "nothing": lambda tokens, place, texts: np.zeros(tokens.shape, bool),
}


FOUND_BY = {name: explainer.recovers for name, explainer in EXPLAINERS.items() if explainer.recovers is not None}
"""How many of PLANTED explainers recover, with seed 0, by name."""


def find_planted(explainer: str, seed: int = 0, planted: Mapping[str, Rule] = PLANTED) -> list[Recovery]:
    """Plant each unit, explain it from its top excerpts, and simulate it on held-out text.

    "everything" counts as recovered where something is expected everywhere, "nothing" where nothing is.
    """
    tokenizer = gpt2_tokenizer()
    texts = token_texts(tokenizer)
    reviews = list(islice(PACKAGED["reviews"].texts(), DOCUMENTS))
    shown, held_out = (_tiling(reviews[start::2], tokenizer) for start in (0, 1))
    rules = list(planted.values())
    made = [_explained(explainer, rule, shown, texts) for rule in rules]
    scored = [_excerpts(rule, held_out, texts, seed) for rule in rules]
    return [_recovery(name, rule_index, made, scored) for rule_index, name in enumerate(planted)]


def _tiling(documents: list[str], tokenizer: Tokenizer) -> Tiling:
    ids = [[*encoding.ids, end_of_text_id(tokenizer)] for encoding in tokenizer.encode_batch_fast(documents)]
    ends = np.cumsum([len(document) for document in ids])
    return cut_half("planted", Side(np.concatenate(ids).astype(np.uint16), ends), 1024).tilings[LONG]


def _excerpts(rule: Rule, tiling: Tiling, texts: list[str], seed: int | None) -> Excerpts:
    """The unit's top excerpts, one a document, and with a seed random ones after them."""
    every = np.arange(tiling.count)
    tokens, document, place = (
        tiling.tokens_of(every).astype(np.int64),
        tiling.document_of(every),
        tiling.place_of(every),
    )
    fires = np.asarray(rule(tokens, place, texts).any(axis=-1))
    _, first = np.unique(np.where(fires, document, -1 - every), return_index=True)
    chosen = np.sort(first[fires[first]])[: SHOWN if seed is None else SCORED]
    if seed is not None:
        generator = np.random.default_rng(derive_seed(seed, "planted"))
        chosen = np.r_[chosen, generator.choice(every, SCORED, replace=False)]
    nothing = np.zeros(len(chosen), np.int64)
    activations = rule(tokens[chosen], place[chosen], texts).astype(np.float32)
    return Excerpts(
        unit=nothing,
        rank=np.arange(len(chosen)),
        interval=nothing - 1,
        document=document[chosen],
        start=tiling.start_of(chosen),
        place=place[chosen],
        tokens=tokens[chosen],
        activations=activations,
    )


def _explained(explainer: str, rule: Rule, shown: Tiling, texts: list[str]) -> Explanations:
    return EXPLAINERS[explainer].of_excerpts(_excerpts(rule, shown, texts, None), texts, seed=0)


def _recovery(name: str, rule_index: int, made: list[Explanations], scored: list[Excerpts]) -> Recovery:
    excerpts = scored[rule_index]
    truth = excerpts.activations.ravel()
    own, control = (
        explanations.simulate(excerpts.unit, excerpts.tokens, excerpts.place).ravel()
        for explanations in (made[rule_index], made[rule_index - 1])
    )
    r = pearson(truth, own)
    # A truth that does not vary has no correlation: what is expected has to be near it everywhere.
    recovered = r >= RECOVERED if np.ptp(truth) else bool(np.abs(own - truth).max(initial=0) < 0.1)
    return Recovery(name, r, pearson(truth, control), recovered)
