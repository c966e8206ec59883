"""Every answer on disk: what was asked once is never paid for again, and a killed run goes on where it was."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from cratelm.errors import InputError, RunError, first_line
from cratelm.llm.model import Failure, LanguageModel, Shares
from cratelm.llm.words import words


class Answers:
    """An SQLite file of answers, keyed by model, prompt and parameters."""

    def __init__(self, path: Path) -> None:
        """Open or make the file; InputError where that cannot be done."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, isolation_level=None)
            self._require_ours()
            self._file.execute("PRAGMA journal_mode=WAL")
            # A crash of the machine may lose the last answers, never the file.
            self._file.execute("PRAGMA synchronous=NORMAL")
            self._file.execute("CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer TEXT) WITHOUT ROWID")
        except (OSError, sqlite3.Error) as error:
            raise InputError(
                f"{path} cannot hold the judge's answers ({error}). Choose another file for --answers."
            ) from error

    def _require_ours(self) -> None:
        """Refuse, before anything is changed, a database of somebody else's."""
        tables = {name for (name,) in self._file.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if tables - {"answers"}:
            raise InputError(f"{self.path} is a database of something else. Choose another file for --answers.")

    def get(self, *key: Any) -> Any:
        """The answer to a question, None if it was never asked; InputError where the file is damaged."""
        try:
            row = self._file.execute("SELECT answer FROM answers WHERE key = ?", (_key(key),)).fetchone()
            return None if row is None else orjson.loads(row[0])
        except (sqlite3.Error, ValueError) as error:
            raise InputError(f"{self.path} is damaged ({first_line(error)}). Remove it and ask again.") from error

    def put(self, answer: Any, *key: Any) -> None:
        """Keep an answer; RunError where the disk does not take it."""
        try:
            self._file.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (_key(key), json.dumps(answer)))
        except sqlite3.Error as error:
            raise RunError(
                f"writing to {self.path} failed: {error}. Mend that, then run the same command again to go on."
            ) from error


def _key(parts: Sequence[Any]) -> bytes:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8", "surrogatepass")).digest()


def _written(answers: Iterator[tuple[int, str | Failure]]) -> Iterator[tuple[int, Any]]:
    """Answers in text as the file keeps them. A failure is an answer too: the same question would fail again."""
    return ((prompt_index, vars(answer) if isinstance(answer, Failure) else answer) for prompt_index, answer in answers)


def _heard(kept: Any) -> str | Failure:
    """The answer that was kept. Reasoning is taken away here too: older files hold texts as servers sent them."""
    return words(kept) if isinstance(kept, str) else Failure(**kept)


class Cached:
    """A judge that is asked only what it has not answered before."""

    def __init__(self, model: LanguageModel, answers: Answers, max_tokens: int | None = None) -> None:
        """`max_tokens` of each answer in text, instead of the few that a question allows."""
        self.model, self.answers, self.max_tokens = model, answers, max_tokens
        self.name, self.cannot = model.name, model.cannot

    def texts(self, prompts: Sequence[str], limit: int) -> Iterator[tuple[int, str | Failure]]:
        """As LanguageModel.texts."""
        limit = self.max_tokens or limit
        keys = [("text", self.name, prompt, limit) for prompt in prompts]
        answers = self._each(keys, lambda missing: _written(self.model.texts([prompts[k] for k in missing], limit)))
        return ((prompt_index, _heard(answer)) for prompt_index, answer in answers)

    def digits(self, prompts: Sequence[str], places: Sequence[Sequence[int]]) -> Iterator[tuple[int, Shares]]:
        """As LanguageModel.digits."""
        keys = [("digits", self.name, prompt, list(at)) for prompt, at in zip(prompts, places, strict=True)]
        return self._each(
            keys, lambda missing: self.model.digits([prompts[k] for k in missing], [places[k] for k in missing])
        )

    def _each(
        self, keys: Sequence[tuple], ask: Callable[[list[int]], Iterator[tuple[int, Any]]]
    ) -> Iterator[tuple[int, Any]]:
        missing: dict[tuple, list[int]] = {}
        for prompt_index, key in enumerate(keys):
            answer = self.answers.get(*key)
            if answer is None:
                # As text: a key may hold a list of places, which has no hash.
                missing.setdefault(tuple(map(str, key)), []).append(prompt_index)
            else:
                yield prompt_index, answer
        same = list(missing.values())  # one question asked twice is sent once
        for place, answer in ask([numbers[0] for numbers in same]) if same else ():
            self.answers.put(answer, *keys[same[place][0]])
            for prompt_index in same[place]:
                yield prompt_index, answer
