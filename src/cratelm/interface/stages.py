"""The stages as functions: what the commands of the same names do, with their settings as keyword arguments.

Progress goes to stderr. The same call with the same folder goes on where it stopped, and does nothing where all is
done.
"""

from pathlib import Path
from typing import Any

from cratelm.artifacts import open_artifact
from cratelm.corpus.config import CorpusConfig
from cratelm.corpus.tokens import tokenize as tokenize_corpus
from cratelm.explain.config import ExplainConfig
from cratelm.explain.explain import explain as explain_records
from cratelm.explain.registry import explainers_named
from cratelm.interface.at_work import at_work
from cratelm.interface.changed_settings import changed
from cratelm.interface.loaded_model import LoadedModel, load
from cratelm.interface.opened_stages import OpenedExplanations, OpenedRecording, OpenedScores, OpenedStage
from cratelm.interface.opened_study import OpenedStudy
from cratelm.llm.config import AskingConfig, JudgeConfig, open_judge
from cratelm.loading import OpeningConfig
from cratelm.measure import measure as measure_model
from cratelm.measure_config import MeasureConfig
from cratelm.models.subject import open_subject, tokens_for
from cratelm.presets import preset as study_preset
from cratelm.presets import train_preset
from cratelm.records.config import RecordConfig
from cratelm.records.record import record as make_records
from cratelm.score.config import ScoreConfig
from cratelm.score.score import score as score_records
from cratelm.stages import next_to
from cratelm.study import run_study
from cratelm.training.train import train as train_model


def study(*, out: str | Path, preset: str = "laptop", **settings: Any) -> OpenedStudy:
    """Train CRATE and GPT-2 on the same text, and measure whose neurons can be read; as `cratelm study`.

    `settings` are those of the command: `corpus="my.txt"`, `training={"tokens": 100_000}`. Raises InputError for one
    that does not fit, and where `out` holds another study.

    >>> import cratelm
    >>> cratelm.study(out="nowhere", preset="smok")
    Traceback (most recent call last):
    cratelm.errors.InputError: unknown preset 'smok': choose from smoke, laptop, demo. Did you mean smoke?
    """
    config = changed(study_preset(preset), settings)
    model = open_judge(config.judge, AskingConfig()) if config.judge.llm is not None else None
    with at_work() as progress:
        run_study(config, Path(out), progress, model)
    return OpenedStudy(out)


def measure(
    model: str | Path | LoadedModel,
    *,
    out: str | Path,
    revision: str | None = None,
    device: str = "auto",
    **settings: Any,
) -> OpenedStudy:
    """Record, explain and score every unit of a model as it is; as `cratelm measure`.

    `model` is a folder or a name of the hub; `settings` are those of the command: `text="my.txt"`,
    `records={"tokens": 100_000}`.

    >>> import cratelm
    >>> cratelm.measure(MODEL, out="nowhere", txt="my.txt")
    Traceback (most recent call last):
    cratelm.errors.InputError: there is no setting 'txt'. Did you mean text?
    """
    config, opening = changed(MeasureConfig(), settings), OpeningConfig(revision=revision, device=device)
    with at_work() as progress:
        measure_model(config, _named(model), Path(out), progress, opening)
    return OpenedStudy(out)


def tokenize(corpus: str | Path, *, out: str | Path, **settings: Any) -> Path:
    """Turn a corpus into tokens of four sides, for training and measuring; as `cratelm tokenize`. Returns the folder.

    `corpus` is a name or a path, as `cratelm study --corpus` takes; `settings` are those of the command:
    `tokenizer="gpt2"`.

    >>> import cratelm
    >>> cratelm.tokenize("my.txt", out="nowhere", tokenizer="bpe:12")
    Traceback (most recent call last):
    cratelm.errors.InputError: unknown tokenizer 'bpe:12': give bpe:N with N from 257 to 65536, such as bpe:4096.
    """
    config = changed(CorpusConfig(str(corpus)), settings)
    with at_work() as progress:
        return tokenize_corpus(config, Path(out), progress).path


def train(*, tokens: str | Path, out: str | Path, preset: str = "laptop", **settings: Any) -> LoadedModel:
    """Train one model; as `cratelm train`, alone in this process.

    `tokens` is a folder that `tokenize` made, such as a study's `tokens`; `settings` are those of the command:
    `model="gpt2"`, `shape={"layers": 1}`.

    >>> import cratelm
    >>> small = {"shape": {"layers": 1, "width": 16, "heads": 2, "context": 32}, "training": {"tokens": 0}}
    >>> cratelm.train(tokens=STUDY + "/tokens", out=OUT + "/small", **small).sites[0].units
    64
    """
    config = changed(train_preset(preset), settings)
    with at_work() as progress:
        train_model(config, open_artifact(Path(tokens), "tokens"), Path(out), progress)
    return load(out)


def record(
    model: str | Path | LoadedModel,
    *,
    text: str | Path,
    out: str | Path,
    revision: str | None = None,
    device: str = "auto",
    **settings: Any,
) -> OpenedRecording:
    """Record what every unit of a model fires on; as `cratelm record`.

    `text` is a folder that `cratelm tokenize` made with the model's tokenizer, or a corpus. `settings` are those of the
    command: `tokens=100_000`, `sites="residual"`.

    >>> import cratelm
    >>> small = {"tokens": 1000, "pool": 20, "top": 5, "random": 5, "short_random": 5}
    >>> recording = cratelm.record(MODEL, text=STUDY + "/tokens", out=OUT + "/records", **small)
    >>> made = cratelm.explain(recording, out=OUT + "/explanations", explainer="table")
    >>> scores = cratelm.score(recording, made, out=OUT + "/scores", metric="random-only", replicates=100)
    >>> set(scores.table["metric"].to_pylist())
    {'random-only'}
    """
    config, opening = changed(RecordConfig(), settings), OpeningConfig(revision=revision, device=device)
    with at_work() as progress:
        subject = open_subject(_named(model), opening)
        tokens = tokens_for(subject, str(text), next_to(Path(out), "-tokens"), progress)
        made = make_records(config, subject, tokens, Path(out), progress, device=device)
    return OpenedRecording(made)


def explain(
    recording: str | Path | OpenedRecording,
    *,
    out: str | Path,
    judge: JudgeConfig | None = None,
    asking: AskingConfig | None = None,
    **settings: Any,
) -> OpenedExplanations:
    """Explain every unit of a recording; as `cratelm explain`. `settings` are those of the command:
    `explainer="table,graph"`.

    The explainer `llm` needs a `judge`.

    >>> import cratelm
    >>> made = cratelm.explain(STUDY + "/records/crate", out=OUT + "/explained", explainer="table,random")
    >>> made.explainers
    ['table', 'random']
    """
    config, judge = changed(ExplainConfig(), settings), judge or JudgeConfig()
    in_words = any(explainer.in_words for explainer in explainers_named(config.explainer))
    with at_work() as progress:
        opened = open_artifact(_folder(recording), "records")
        model = open_judge(judge, asking or AskingConfig()) if in_words else None
        made = explain_records(config, opened, Path(out), progress, judge, model)
    return OpenedExplanations(made)


def score(
    recording: str | Path | OpenedRecording,
    explanations: str | Path | OpenedExplanations,
    *,
    out: str | Path,
    judge: JudgeConfig | None = None,
    asking: AskingConfig | None = None,
    **settings: Any,
) -> OpenedScores:
    """Score explanations on text that their explainers have not seen; as `cratelm score`. `settings` are those of the
    command: `metric="random-only,auroc"`.

    >>> import cratelm
    >>> parts = STUDY + "/records/crate", STUDY + "/explanations/crate"
    >>> scores = cratelm.score(*parts, out=OUT + "/scored", metric="auroc", replicates=100)
    >>> set(scores.frame["metric"])
    {'auroc'}
    """
    config, judge = changed(ScoreConfig(), settings), judge or JudgeConfig()
    records = open_artifact(_folder(recording), "records")
    made_before = open_artifact(_folder(explanations), "explanations")
    model = open_judge(judge, asking or AskingConfig()) if judge.llm is not None else None
    with at_work() as progress:
        made = score_records(config, records, made_before, Path(out), progress, judge=judge, model=model)
    return OpenedScores(made)


def _named(model: str | Path | LoadedModel) -> str:
    return str(model.folder if isinstance(model, LoadedModel) else model)


def _folder(stage: str | Path | OpenedStage) -> Path:
    return stage.path if isinstance(stage, OpenedStage) else Path(stage)
