"""Where a corpus's text comes from: a package, files of this machine, or files of a data set of the hub.

Files of the hub are fetched one by one, when they are read, into a scratch folder, and dropped when their shard is
made: the disk never has to hold the whole set.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import is_offline_mode

from cratelm.artifacts import hash_file
from cratelm.corpus.config import CorpusConfig
from cratelm.corpus.hub import dataset_folder, download, list_dataset
from cratelm.corpus.packaged import PACKAGED
from cratelm.corpus.readers import READERS, Texts, given_path, list_files, read_file
from cratelm.errors import InputError

SHARD_BYTES = 64_000_000
HUB = "hub:"
ADDRESS = re.compile(r"hub:([^/@:]+/[^/@:]+)(?:@([^:]+))?(?::(.+))?")
PACKED = 4
"""About how many bytes of text a byte of a compressed file holds."""


@dataclass(frozen=True)
class Source:
    """A corpus's text, shard by shard; picklable, so that any engine can carry it."""

    corpus: str
    """A packaged corpus by its name, or what the user gave."""
    shards: tuple[tuple[str, ...], ...]
    """The names of each shard's files; a packaged corpus is one shard without any."""
    folder: Path = Path()
    """The folder that the names are in; where files of the hub are put."""
    field: str = "text"
    """Where a row holds its text."""
    alone: bool = False
    """Whether the corpus is one file of this machine."""
    repository: str | None = None
    """The data set of the hub."""
    revision: str | None = None
    """Its commit."""
    size: int = 0
    """About how many bytes of text the files hold."""

    def texts(self, shard: int) -> Texts:
        """The documents of one shard."""
        if self.corpus in PACKAGED:
            return ((text, False) for text in PACKAGED[self.corpus].texts())
        return (found for name in self.shards[shard] for found in read_file(self._file(name), self.field, self.alone))

    def describe(self, shard: int) -> list[dict[str, Any]]:
        """What one shard was made of: each file's name, size and SHA-256, from a package the requirement."""
        if self.corpus in PACKAGED:
            return [{"name": requirement, "sha256": sha256} for requirement, sha256 in PACKAGED[self.corpus].parts]
        files = [(name, self._file(name)) for name in self.shards[shard]]
        return [{"name": name, "bytes": file.stat().st_size, "sha256": hash_file(file)} for name, file in files]

    def identify(self) -> dict[str, Any]:
        """What tells this text from another one: what all shards are made of; of the hub the commit and the names."""
        if self.fetched:
            return origin(self, [{"name": name} for shard in self.shards for name in shard])
        return origin(self, [entry for shard in range(len(self.shards)) for entry in self.describe(shard)])

    def drop(self, shard: int) -> None:
        """Remove what was fetched for one shard."""
        if self.fetched:
            for name in self.shards[shard]:
                (self.folder / name).unlink(missing_ok=True)

    @property
    def plain_text(self) -> bool:
        """Whether any of its files is a .txt, whose documents are told apart by blank lines where it is alone."""
        return any(".txt" in Path(name).suffixes for shard in self.shards for name in shard)

    @property
    def fetched(self) -> bool:
        """Whether its files are downloaded when they are read."""
        return self.repository is not None and not is_offline_mode()

    def _file(self, name: str) -> Path:
        if self.fetched:
            return download(str(self.repository), str(self.revision), name, self.folder)
        return self.folder / name


def open_source(config: CorpusConfig, scratch: Path) -> Source:
    """The text of a corpus. Raises InputError where there is none."""
    if config.corpus in PACKAGED:
        return Source(config.corpus, ((),))
    if config.corpus.startswith(HUB):
        return _of_hub(config, scratch)
    path = given_path(config.corpus)
    folder = path if path.is_dir() else path.parent
    sizes = {file.relative_to(folder).as_posix(): file.stat().st_size for file in list_files(path)}
    return Source(
        config.corpus,
        _shards(sizes, config.documents),
        folder.resolve(),
        config.field,
        alone=path.is_file(),
        size=_text_size(sizes),
    )


def _of_hub(config: CorpusConfig, scratch: Path) -> Source:
    address = ADDRESS.fullmatch(config.corpus)
    if address is None:
        raise InputError(
            f"{config.corpus} is not the name of a data set on the hub: write hub:OWNER/NAME[@REVISION][:PATTERN]."
        )
    repository, revision, pattern = address.groups()
    patterns = [pattern] if pattern else [f"*{ending}{packed}" for ending in READERS for packed in ("", ".gz", ".zst")]
    instead = "the path of a folder with its files"
    if is_offline_mode():  # what the hub's cache holds is read in place
        folder = dataset_folder(repository, patterns, revision, instead).resolve()
        sizes = {file.relative_to(folder).as_posix(): file.stat().st_size for file in list_files(folder)}
        revision = folder.name
    else:
        folder = scratch
        revision, sizes = list_dataset(repository, patterns, revision, instead)
    shards = _shards(sizes, config.documents)
    return Source(config.corpus, shards, folder, config.field, False, repository, revision, _text_size(sizes))


def _shards(sizes: dict[str, int], documents: int | None) -> tuple[tuple[str, ...], ...]:
    """Runs of files of at least 64 MB; a corpus that is read to a limit is one."""
    if documents is not None:
        return (tuple(sizes),)
    shards: list[list[str]] = []
    filled = SHARD_BYTES
    for name, size in sizes.items():
        if filled >= SHARD_BYTES:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    return tuple(tuple(shard) for shard in shards)


def _text_size(sizes: dict[str, int]) -> int:
    return sum(size * (PACKED if name.endswith((".gz", ".zst", ".parquet")) else 1) for name, size in sizes.items())


def every_text(source: Source) -> Iterator[Texts]:
    """The documents of shard after shard."""
    return (source.texts(shard) for shard in range(len(source.shards)))


def origin(source: Source, described: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Where every byte of a corpus came from, for its counts.json."""
    found: dict[str, Any] = {"corpus": source.corpus, "files": list(described)}
    if source.repository is not None:
        found |= {"repository": source.repository, "revision": source.revision}
    return found
