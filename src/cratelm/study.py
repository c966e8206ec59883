"""The whole comparison as plain calls: a configuration in, a report out.

DIR/study.json                  what was asked for
DIR/tokens                      the corpus stage
DIR/models/NAME[-untrained]     the training stage, and the same networks before training
DIR/records/…, explanations/…, scores/…
DIR/judged/…                    explanations and scores by a language model, where one was named
DIR/report                      report.html, table.json, table.csv
"""

from dataclasses import replace
from pathlib import Path

from cratelm.artifacts import Artifact, claim_study, require_same_study
from cratelm.corpus.tokens import read_side, read_train, tokenize
from cratelm.errors import InputError
from cratelm.explain.config import LLM
from cratelm.explain.explain import explain
from cratelm.llm.model import LanguageModel
from cratelm.models.build import build_config
from cratelm.presets import StudyConfig
from cratelm.progress import Progress
from cratelm.records.halves import cut_half
from cratelm.records.record import record
from cratelm.records.recording import HALVES
from cratelm.report.measured import Measured
from cratelm.report.report import report
from cratelm.report.rows import Pair
from cratelm.score.score import score
from cratelm.training.config import TrainConfig
from cratelm.training.train import train


def run_study(config: StudyConfig, out: Path, progress: Progress, model: LanguageModel | None = None) -> Artifact:
    """Train, record, explain, score and report in `out`; what is there already is not made again.

    `model`, which `config.judge` names, explains and scores a sample of units once more.

    Raises InputError, before anything is made, where a model's name makes no model.
    """
    require_same_study(out, config)
    for name in config.model_names:
        build_config(name, config.shape, vocabulary=1, end_of_text=0)
    tokens = tokenize(config.corpus, out / "tokens", progress)
    require_enough_text(config, tokens)
    claim_study(out, config)
    measured = []
    for name in config.model_names:
        trained = _measure(config, name, name, tokens, out, progress)
        untrained = _measure(config, name, f"{name}-untrained", tokens, out, progress)
        measured.append((trained, untrained))
    judged: list[Pair] = []
    if model is not None:
        for trained, untrained in measured:
            own = _judge(config, trained, model, out, progress)
            judged.append((own, _judge(config, untrained, model, out, progress)))
    return report(config.report, measured, tokens, out / "report", progress, judged)


def require_enough_text(config: StudyConfig, tokens: Artifact) -> None:
    """Refuse text that a later stage could not use, before hours go into the earlier ones."""
    context = config.shape.context
    train_tokens = len(read_train(tokens))
    if train_tokens <= context:
        raise InputError(f"too little text: the train side's {train_tokens} tokens fill no context of {context}.")
    for half in HALVES:
        cut_half(half, read_side(tokens, half), min(context, config.records.context), config.records.tokens)


def _measure(config: StudyConfig, model: str, name: str, tokens: Artifact, out: Path, progress: Progress) -> Measured:
    """One model, trained or left as it began, through all stages."""
    recipe = config.training if name == model else replace(config.training, tokens=0)
    training = TrainConfig(model=model, shape=config.shape, training=recipe, seed=config.seed)
    trained = train(training, tokens, out / "models" / name, progress)
    records = record(config.records, trained, tokens, out / "records" / name, progress)
    explanations = explain(config.explain, records, out / "explanations" / name, progress)
    scores = score(config.score, records, explanations, out / "scores" / name, progress)
    return Measured(model=trained, records=records, explanations=explanations, scores=scores)


def _judge(config: StudyConfig, measured: Measured, model: LanguageModel, out: Path, progress: Progress) -> Measured:
    """The same model's units, a sample of them, explained and scored by a language model."""
    records, folder = measured.records, out / "judged"
    explaining, scoring = replace(config.explain, explainer=LLM), replace(config.score, metric=config.judge_metric)
    explanations = explain(explaining, records, folder / "explanations" / measured.name, progress, config.judge, model)
    scores = score(
        scoring, records, explanations, folder / "scores" / measured.name, progress, judge=config.judge, model=model
    )
    return replace(measured, explanations=explanations, scores=scores)
