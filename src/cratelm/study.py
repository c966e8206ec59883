"""The whole comparison as plain calls: a configuration in, a report out.

DIR/study.json                  what was asked for
DIR/tokens                      the corpus stage
DIR/models/NAME[-untrained]     the training stage, and the same networks before training
DIR/models/NAME+sae-SIZE…       with --sae: autoencoders on both, whose latents are the units of a model of their own
DIR/records/…, explanations/…, scores/…
DIR/judged/…                    explanations and scores by a language model, where one was named
DIR/report                      report.html, table.json, table.csv
"""

from dataclasses import replace
from pathlib import Path

from cratelm.artifacts import Artifact, claim_study, require_same_study
from cratelm.corpus.read_tokens import read_side, read_train
from cratelm.corpus.tokens import tokenize
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
from cratelm.score.score import score
from cratelm.training.config import TrainConfig
from cratelm.training.ready import require_memory
from cratelm.training.train import train


def run_study(config: StudyConfig, out: Path, progress: Progress, model: LanguageModel | None = None) -> Artifact:
    """Train, record, explain, score and report in `out`; what is there already is not made again.

    `model`, which `config.judge` names, explains and scores a sample of units once more.

    Raises InputError, before anything is made, where a model's name makes no model.
    """
    require_same_study(out, config)
    for name in config.model_names:
        build_config(name, config.shape, vocabulary=1, end_of_text=0)
    require_memory(config.shape)
    if config.sae:
        require_sense_of_saes(config)
    tokens = tokenize(config.corpus, out / "tokens", progress)
    require_enough_text(config, tokens)
    claim_study(out, config)
    measured = []
    for name in config.model_names:
        trained = _measure_model(config, name, name, tokens, out, progress)
        untrained = _measure_model(config, name, f"{name}-untrained", tokens, out, progress)
        measured.append((trained, untrained))
    if config.sae:
        for pair in tuple(measured):
            for name in config.saes.names:
                trained, untrained = (_measure_saes(config, base, name, tokens, out, progress) for base in pair)
                measured.append((trained, untrained))
    judged: list[Pair] = []
    if model is not None:
        for trained, untrained in measured:
            own = _judge(config, trained, model, out, progress)
            judged.append((own, _judge(config, untrained, model, out, progress)))
    return report(config.report, measured, tokens, out / "report", progress, judged)


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


def _measure_model(
    config: StudyConfig, model: str, name: str, tokens: Artifact, out: Path, progress: Progress
) -> Measured:
    """One model, trained or left as it began, through all stages."""
    recipe = config.training if name == model else replace(config.training, tokens=0)
    training = TrainConfig(model=model, shape=config.shape, training=recipe, seed=config.seed)
    trained = train(training, tokens, out / "models" / name, progress)
    return _measure(config, trained, None, tokens, out, progress)


def _measure_saes(
    config: StudyConfig, base: Measured, dictionary: str, tokens: Artifact, out: Path, progress: Progress
) -> Measured:
    """Autoencoders on a model that was trained or left as it began, and their latents through all stages."""
    plain = base.name.removesuffix("-untrained")
    name = f"{plain}+sae-{dictionary}{base.name.removeprefix(plain)}"
    training = config.saes.dictionary(dictionary, config.seed)
    saes = train_saes(training, base.model, tokens, out / "models" / name, progress)
    return _measure(config, base.model, saes, tokens, out, progress)


def _measure(
    config: StudyConfig, model: Artifact, saes: Artifact | None, tokens: Artifact, out: Path, progress: Progress
) -> Measured:
    """The units of a model, or the latents of the autoencoders on it, recorded, explained and scored."""
    subject = saes or model
    name = subject.path.name
    records = record(config.records, subject, tokens, out / "records" / name, progress)
    explanations = explain(config.explain, records, out / "explanations" / name, progress)
    scores = score(config.score, records, explanations, out / "scores" / name, progress)
    return Measured(model=model, saes=saes, records=records, explanations=explanations, scores=scores)


def _judge(config: StudyConfig, measured: Measured, model: LanguageModel, out: Path, progress: Progress) -> Measured:
    """The same model's units, a sample of them, explained and scored by a language model."""
    records, folder = measured.records, out / "judged"
    explaining, scoring = replace(config.explain, explainer=LLM.name), replace(config.score, metric=config.judge_metric)
    explanations = explain(explaining, records, folder / "explanations" / measured.name, progress, config.judge, model)
    scores = score(
        scoring, records, explanations, folder / "scores" / measured.name, progress, judge=config.judge, model=model
    )
    return replace(measured, explanations=explanations, scores=scores)
