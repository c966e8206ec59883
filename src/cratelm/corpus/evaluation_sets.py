"""The texts that language models are compared on: public sets by name, or files of one's own.

A name stands for files of one repository of the hub, read from the hub's cache, downloaded where the hub is allowed,
or read from a local folder of the same layout. A set's documents are what belongs together: an article, a passage.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path

from cratelm.corpus.hub import dataset_folder
from cratelm.corpus.packaged import PACKAGED
from cratelm.corpus.readers import given_path, list_files, read_file
from cratelm.errors import InputError, first_line

HEADING = re.compile(r"\s*= (?!= ).*(?<! =) =\s*")
"""A line ` = Title = `, which begins an article; sections within one have more of the signs."""
SENTENCES = 100
"""How many sentences of Penn Treebank stand for a document: where its articles end has not come down to us."""


def articles(lines: Iterable[str]) -> Iterator[str]:
    """WikiText's articles from its lines: one begins at each top-level heading that follows an empty line.

    The hub holds an empty line as an empty row; here it gets back the ` \\n` that it is in WikiText's own files.
    """
    article: list[str] = []
    for line in lines:
        if HEADING.fullmatch(line) and (not article or not article[-1].strip()):
            yield "".join(article)
            article = []
        article.append(line if line.strip() else " \n")
    yield "".join(article)


def sentence_runs(sentences: Iterable[str]) -> Iterator[str]:
    """Runs of consecutive sentences of Penn Treebank, a sentence a line."""
    rest = iter(sentences)
    while run := list(islice(rest, SENTENCES)):
        yield "\n".join(run)


@dataclass(frozen=True)
class EvaluationSet:
    """Where a set lies on the hub, and how its rows become documents."""

    repository: str
    files: str
    """A pattern of the files in it, `*` standing for any characters."""
    field: str = "text"
    """The column, or the field of a JSON line, that holds the text."""
    revision: str = "main"
    documents: Callable[[Iterable[str]], Iterable[str]] = iter
    """Makes documents of rows; by itself a row is a document."""
    limit: int | None = None
    """How many documents, from the first, belong to the set; all of the files' without it."""
    last_words: bool = False
    """Whether the set asks for the last word of each document."""


EVALUATION_SETS = {
    "wikitext2": EvaluationSet("Salesforce/wikitext", "wikitext-2-raw-v1/test*.parquet", documents=articles),
    "wikitext103": EvaluationSet("Salesforce/wikitext", "wikitext-103-raw-v1/test*.parquet", documents=articles),
    "lambada": EvaluationSet("EleutherAI/lambada_openai", "data/lambada_test.jsonl", last_words=True),
    "ptb": EvaluationSet(
        "ptb-text-only/ptb_text_only",
        "penn_treebank/test*.parquet",
        field="sentence",
        # The main branch holds a script alone; the hub keeps what it makes on this one.
        revision="refs/convert/parquet",
        documents=sentence_runs,
    ),
    # It has no test split: the first documents of the last of its 80 files stand for one.
    "openwebtext": EvaluationSet("Skylion007/openwebtext", "plain_text/train-00079-of-00080.parquet", limit=5000),
    "pile": EvaluationSet("monology/pile-uncopyrighted", "test.jsonl.zst"),
}


@dataclass(frozen=True)
class EvaluationTexts:
    """What a model is measured on."""

    documents: list[str]
    """The non-empty documents."""
    revision: str | None
    """The commit of the data set of the hub, None where the text is from elsewhere."""


def read_evaluation_set(name: str, data: Path | None = None, limit: int | None = None) -> EvaluationTexts:
    """The documents of a set, or of a path, whose files are read as a study's corpus is.

    `data` is a folder laid out as the set's repository, instead of the hub; `limit` keeps the first so many
    documents. Raises InputError where there is no such set or path, or its text cannot be had or read.
    """
    revision = None
    if name in EVALUATION_SETS:
        chosen = EVALUATION_SETS[name]
        instead = f"--data FOLDER that holds its {chosen.files}"
        folder = data or dataset_folder(chosen.repository, [chosen.files], chosen.revision, instead)
        revision = None if data else folder.name  # the hub's cache has a folder a commit
        rows = _rows(folder, chosen)
        documents, limits = chosen.documents(rows), [limit, chosen.limit]
    else:
        documents, limits = _from_path(name, data), [limit]
    least = min((count for count in limits if count is not None), default=None)
    kept = list(islice((text for text in documents if text.strip()), least))
    if not kept:
        raise InputError(f"{name} holds no text.")
    return EvaluationTexts(kept, revision)


def _from_path(path: str, data: Path | None) -> Iterator[str]:
    if path in PACKAGED:
        return PACKAGED[path].texts()
    if not given_path(path).exists():
        names = ", ".join([*EVALUATION_SETS, *PACKAGED])
        raise InputError(f"no set and no file {path}. The sets are {names}; or give a path.")
    if data is not None:
        raise InputError(f"--data says where a named set lies; --on {path} is itself a path. Leave --data out.")
    return _texts(list_files(Path(path)), "text", alone=Path(path).is_file())


def _rows(folder: Path, chosen: EvaluationSet) -> Iterator[str]:
    """The texts of the set's files in `folder`, row by row, in the order of the files' names."""
    files = sorted(file for file in folder.rglob("*") if fnmatch(file.relative_to(folder).as_posix(), chosen.files))
    if not files:
        raise InputError(f"{folder} holds no {chosen.files}, as datasets/{chosen.repository} does.")
    return _texts(files, chosen.field, alone=False)


def _texts(files: Iterable[Path], field: str, alone: bool) -> Iterator[str]:
    for file in files:
        try:
            for text, _ in read_file(file, field, alone):
                yield text
        except OSError as error:
            raise InputError(f"{file} cannot be read: {first_line(error)}") from error
