"""Which judge, and what it may cost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cratelm.errors import InputError
from cratelm.llm.cache import Answers, Cached
from cratelm.llm.model import Failure, LanguageModel, Shares
from cratelm.ranges import Configuration, number, whole


@dataclass(frozen=True, kw_only=True)
class JudgeConfig(Configuration):
    """Which language model judges."""

    llm: str | None = None
    """The language model that explains or judges: a server's address, such as http://localhost:8000/v1, a model's
    folder, or a GGUF file. A server's key is read from the environment variable CRATELM_LLM_KEY."""
    llm_model: str | None = None
    """Which model of the server at --llm; by default its first."""
    llm_max_tokens: Annotated[int | None, whole(1, 1_000_000)] = None
    """The most tokens in an answer of the language model. By default what the question needs, 60 for an explanation. A
    reasoning model needs some thousands, because its reasoning counts."""


@dataclass(frozen=True, kw_only=True)
class AskingConfig(Configuration):
    """How a judge is asked; no number depends on it."""

    concurrency: Annotated[int, whole(1, 1000)] = 8
    """How many requests the server of --llm gets at the same time."""
    timeout: Annotated[float, number(above=0, most=86_400)] = 120
    """How many seconds an answer of the server of --llm may take."""
    answers: Path = Path("answers.sqlite")
    """The file that keeps every answer of the language model. A run that was stopped resumes from it."""


def open_judge(config: JudgeConfig, asking: AskingConfig) -> Cached:
    """The judge behind its cache. Where a server is gone, what it answered before is still at hand.

    Raises InputError where no judge is named, or it cannot be loaded.
    """
    if config.llm is None:
        raise InputError("a language model is needed: name a server's address or a model's path with --llm.")
    answers = Answers(asking.answers)
    if not config.llm.startswith(("http://", "https://")):
        from cratelm.llm.local import LocalModel

        return Cached(LocalModel(Path(config.llm)), answers, config.llm_max_tokens)
    return Cached(_open_server(config, config.llm, asking, answers), answers, config.llm_max_tokens)


def _open_server(config: JudgeConfig, url: str, asking: AskingConfig, answers: Answers) -> LanguageModel:
    """The server; where it is gone, its name and abilities as they were when it last answered."""
    _require_openai()
    from cratelm.llm.client import Unreachable
    from cratelm.llm.server import Server

    key = ("probe", url, config.llm_model)
    try:
        server = Server(url, config.llm_model, asking.concurrency, asking.timeout)
    except Unreachable as error:
        known = answers.get(*key)
        if known is None:
            raise
        return Gone(known["name"], known["cannot"], error)
    answers.put({"name": server.name, "cannot": server.cannot}, *key)
    return server


def _require_openai() -> None:
    """Refuse a server where its client is not installed, in a line that says how to install it."""
    try:
        import openai  # noqa: F401
    except ImportError as error:
        raise InputError("a server as judge needs the openai client: pip install 'cratelm[llm]'") from error


class Gone:
    """A server that no longer answers: every new question is refused with this reason."""

    def __init__(self, name: str, cannot: dict[str, str], error: Exception) -> None:
        self.name, self.cannot, self._error = name, cannot, error

    def texts(self, prompts: Sequence[str], limit: int) -> Iterator[tuple[int, str | Failure]]:
        """Raises what went wrong."""
        raise self._error

    def digits(self, prompts: Sequence[str], places: Sequence[Sequence[int]]) -> Iterator[tuple[int, Shares]]:
        """Raises what went wrong."""
        raise self._error
