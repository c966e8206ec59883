"""The whole comparison as plain calls: a configuration in, a report out.

DIR/study.json                  what was asked for
DIR/tokens                      the corpus stage
DIR/models/NAME[-untrained]     the training stage, and the same networks before training
DIR/models/NAME+sae-SIZE…       with --sae: autoencoders on both, whose latents are the units of a model of their own
DIR/records/…, explanations/…, scores/…, effects/…
DIR/judged/…                    explanations and scores by a language model, where one was named
DIR/report                      report.html, table.json, table.csv
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from cratelm.artifacts import Artifact, claim_study, is_finished, require_same_study
from cratelm.corpus.read_tokens import read_side, read_train
from cratelm.corpus.tokens import tokenize
from cratelm.effects.effects import measure_effects
from cratelm.errors import InputError
from cratelm.explain.explain import explain
from cratelm.explain.explainers.llm import LLM
from cratelm.llm.model import LanguageModel
from cratelm.models.build import build_config
from cratelm.presets import StudyConfig
from cratelm.progress import Progress
from cratelm.records.record import record
from cratelm.records.recording import HALVES
from cratelm.records.tiling import cut_half
from cratelm.report.measured import Measured
from cratelm.report.report import report
from cratelm.report.rows import Pair
from cratelm.sae.extra import require_sae_lens
from cratelm.sae.train import train_saes
from cratelm.score.registry import known_to_other_processes
from cratelm.score.score import score
from cratelm.side_by_side import cores_for, run_side_by_side
from cratelm.training.config import TrainConfig
from cratelm.training.ready import require_memory
from cratelm.training.train import train

ENOUGH_TEXT = 100_000
"""Held-out tokens from which on models are measured at the same time: a process takes ten seconds to start."""


def run_study(config: StudyConfig, out: Path, progress: Progress, model: LanguageModel | None = None) -> Artifact:
    """Train, record, explain, score and report in `out`; finished stages are reused.

    `model`, which `config.judge` names, explains and scores a sample of units once more.

    Raises InputError, before anything is made, where a model's name makes no model.
    """
    require_same_study(out, config)
    for name in config.model_names:
        build_config(name, config.shape, vocabulary=1, end_of_text=0)
    require_memory(config.shape)
    if config.sae:
        require_sense_of_saes(config)
    progress.expect(_stages(config))
    with progress.stage("tokenized the text", is_finished(out / "tokens")):
        tokens = tokenize(config.corpus, out / "tokens", progress)
    require_enough_text(config, tokens)
    claim_study(out, config)
    models = [_train(config, name, tokens, out, progress) for name in config.model_names]
    saes = [sae for pair in models for sae in _train_saes(config, pair, tokens, out, progress)] if config.sae else []
    subjects = [_Subject(model, trained=model is pair[0]) for pair in models for model in pair] + saes
    _measure_at_once(config, subjects, tokens, out, progress)
    measured = [_measure(config, subject, tokens, out, progress) for subject in subjects]
    pairs = list(zip(measured[::2], measured[1::2], strict=True))
    judged: list[Pair] = []
    if model is not None:
        for trained, untrained in pairs:
            own = _judge(config, trained, model, out, progress)
            judged.append((own, _judge(config, untrained, model, out, progress)))
    with progress.stage("wrote the report", is_finished(out / "report")):
        return report(config.report, pairs, tokens, out / "report", progress, judged)


def _stages(config: StudyConfig) -> int:
    """How many stages a study has: each model and each set of autoencoders is made and measured."""
    made = 2 * len(config.model_names) * (1 + (len(config.saes.names) if config.sae else 0))
    judged = (
        2 * len(config.model_names) * (1 + (len(config.saes.names) if config.sae else 0)) if config.judge.llm else 0
    )
    return 2 * made + judged + 2


def require_sense_of_saes(config: StudyConfig) -> None:
    """Refuse autoencoders that could not be trained, before hours go into the models."""
    require_sae_lens()
    for name in config.saes.names:
        config.saes.dictionary(name, config.seed).latents(4 * config.shape.width)


def require_enough_text(config: StudyConfig, tokens: Artifact) -> None:
    """Refuse text that a later stage could not use, before hours go into the earlier ones."""
    context = config.shape.context
    train_tokens = len(read_train(tokens))
    if train_tokens <= context:
        raise InputError(f"too little text: the train side's {train_tokens} tokens fill no context of {context}.")
    for half in HALVES:
        cut_half(half, read_side(tokens, half), min(context, config.records.context), config.records.tokens)


@dataclass(frozen=True)
class _Subject:
    """Whose units are measured: a model's, or the latents of the autoencoders on it."""

    model: Artifact
    saes: Artifact | None = None
    trained: bool = True
    """Whether the network is not as it began."""


def _train(config: StudyConfig, name: str, tokens: Artifact, out: Path, progress: Progress) -> list[Artifact]:
    """A model trained, and the same network as it began."""
    recipes = {name: config.training, f"{name}-untrained": replace(config.training, tokens=0)}
    training = {
        folder: TrainConfig(model=name, shape=config.shape, training=recipe, seed=config.seed)
        for folder, recipe in recipes.items()
    }
    return [_train_one(one, tokens, out / "models" / folder, progress) for folder, one in training.items()]


def _train_one(config: TrainConfig, tokens: Artifact, folder: Path, progress: Progress) -> Artifact:
    with progress.stage(
        f"trained {folder.name}" if config.training.tokens else f"made {folder.name}", is_finished(folder)
    ):
        return train(config, tokens, folder, progress)


def _train_saes(
    config: StudyConfig, pair: list[Artifact], tokens: Artifact, out: Path, progress: Progress
) -> Iterator[_Subject]:
    """Autoencoders of each size, on a trained model and on the network as it began."""
    plain = pair[0].name
    for dictionary in config.saes.names:
        training = config.saes.dictionary(dictionary, config.seed)
        for model in pair:
            name = f"{plain}+sae-{dictionary}{model.name.removeprefix(plain)}"
            with progress.stage(f"trained {name}", is_finished(out / "models" / name)):
                made = train_saes(training, model, tokens, out / "models" / name, progress)
            yield _Subject(model, made, trained=model is pair[0])


def _measure_at_once(
    config: StudyConfig, subjects: Sequence[_Subject], tokens: Artifact, out: Path, progress: Progress
) -> None:
    """Measure several models at the same time, where there is text enough for processes to be worth their start."""
    text = sum(len(read_side(tokens, half).tokens) for half in HALVES)
    at_once, threads = cores_for(len(subjects))
    left = [subject for subject in subjects if not is_finished(out / "scores" / _name(subject))]
    enough = text >= ENOUGH_TEXT and at_once > 1 and len(left) > 1
    if enough and known_to_other_processes(config.score.metric):
        jobs = [partial(_measure, config, subject, tokens, out) for subject in left]
        run_side_by_side(jobs, at_once, threads, progress)


def _measure(config: StudyConfig, subject: _Subject, tokens: Artifact, out: Path, progress: Progress) -> Measured:
    """Its units recorded, explained and scored."""
    name = _name(subject)
    last = "effects" if subject.trained else "scores"
    with progress.stage(f"measured {name}", is_finished(out / last / name)):
        return _measure_stages(config, subject, tokens, out, progress)


def _measure_stages(
    config: StudyConfig, subject: _Subject, tokens: Artifact, out: Path, progress: Progress
) -> Measured:
    source, name = subject.saes or subject.model, _name(subject)
    records = record(config.records, source, tokens, out / "records" / name, progress)
    explanations = explain(config.explain, records, out / "explanations" / name, progress)
    scores = score(config.score, records, explanations, out / "scores" / name, progress)
    effects = None
    if subject.trained:
        effects = measure_effects(config.effects, source, records, explanations, out / "effects" / name, progress)
    return Measured(subject.model, records, explanations, scores, subject.saes, effects)


def _name(subject: _Subject) -> str:
    return (subject.saes or subject.model).path.name


def _judge(config: StudyConfig, measured: Measured, model: LanguageModel, out: Path, progress: Progress) -> Measured:
    """The same model's units, a sample of them, explained and scored by a language model."""
    folder = out / "judged"
    with progress.stage(f"judged {measured.name}", is_finished(folder / "scores" / measured.name)):
        explanations, scores = _judge_stages(config, measured, model, folder, progress)
    return replace(measured, explanations=explanations, scores=scores)


def _judge_stages(
    config: StudyConfig, measured: Measured, model: LanguageModel, folder: Path, progress: Progress
) -> tuple[Artifact, Artifact]:
    records = measured.records
    explaining, scoring = replace(config.explain, explainer=LLM.name), replace(config.score, metric=config.judge_metric)
    explanations = explain(explaining, records, folder / "explanations" / measured.name, progress, config.judge, model)
    scores = score(
        scoring, records, explanations, folder / "scores" / measured.name, progress, judge=config.judge, model=model
    )
    return explanations, scores
