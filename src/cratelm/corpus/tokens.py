"""The corpus stage: text in, a folder of tokens out, which read_tokens.py reads.

Files are in datatrove's format: `NAME.ds` holds the tokens of documents, little-endian numbers of 16 bits or, where the
vocabulary has more than 65,536 ids, of 32, an end-of-text token after each document; `NAME.ds.index` holds the
documents' ends as 64-bit numbers. Next to the sides that units are measured on, `NAME.ds.groups` holds each document's
group of near-duplicates. `validation.ds.bytes` holds the bytes of text of each validation document, since a tokenizer
may change a text before it cuts it. The train side stays in the files of its shards, `train-NNNNN` (token_shards.py);
the other sides are small, made together, and a file each.
"""

import shutil
from collections import Counter
from collections.abc import Sequence
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import Any

import numpy as np

from cratelm.artifacts import Artifact, Stage, as_plain, hash_file, read_json, read_object, run_stage, write_json
from cratelm.corpus.config import SIDES, CorpusConfig
from cratelm.corpus.documents import distinct_documents
from cratelm.corpus.read_tokens import GROUPED, GROUPS, SIZES, train_name
from cratelm.corpus.small_text import blank_lines, other_shares
from cratelm.corpus.sources import Source, every_text, open_source, origin
from cratelm.corpus.split import split_held_out
from cratelm.corpus.token_shards import ShardWork, train_texts
from cratelm.corpus.tokenizer import count_ids, load_tokenizer, make_tokenizer, tokenizer_path
from cratelm.corpus.train_tokens import token_type
from cratelm.corpus.writing import write_side
from cratelm.disk import require_disk
from cratelm.errors import InputError
from cratelm.progress import Progress
from cratelm.shards.config import EngineConfig
from cratelm.shards.run import require_engine, run_shards

BPE_TEXT = 100_000_000
"""Characters of train text, from the start, that a BPE is trained on."""
CORPUS = "corpus.json"
"""The file among the shards that says of which text they are made."""
TOKENS = Stage(
    "tokens",
    files=(
        *(f"{side}{ending}" for side in ("train-[0-9]*", *SIDES[1:]) for ending in (".ds", ".ds.index", GROUPS)),
        f"validation{SIZES}",
        "tokenizer.json",
        "counts.json",
    ),
    scratch=("shards/*", "fetched/*"),
)
"""No scratch outlives an error in the input: the text will be another one when the same command runs again."""


def tokenize(
    config: CorpusConfig,
    out: Path,
    progress: Progress,
    engine: EngineConfig | None = None,
    needed: Sequence[str] = SIDES,
) -> Artifact:
    """Make the tokens of `config.corpus` in `out`, on this machine unless another engine is named.

    Raises InputError where a side that is `needed` gets no document.
    """
    engine = engine or EngineConfig()
    return run_stage(
        out,
        TOKENS,
        config,
        {},
        lambda folder: _tokenize(config, folder, progress, engine, needed),
        lambda: require_engine(engine),
    )


def _tokenize(
    config: CorpusConfig, folder: Path, progress: Progress, engine: EngineConfig, needed: Sequence[str]
) -> None:
    shards, fetched = folder / "shards", folder / "fetched"
    if not (folder / "counts.json").is_file():  # which is written when all else is whole
        source = open_source(config, fetched)
        require_disk(folder, _disk_needed(config, source), "the tokens")
        shards.mkdir(exist_ok=True)
        _require_same_text(source.identify(), shards / CORPUS, folder)
        if not (folder / "tokenizer.json").is_file():
            with progress.task(f"preparing the tokenizer {config.tokenizer}"):
                _require_documents(config, source, needed)
                _prepare_tokenizer(config, source, folder / "tokenizer.json")
        with progress.task(f"tokenizing {len(source.shards)} shards of train text"):
            work = ShardWork(config, source, folder / "tokenizer.json", shards)
            run_shards(work, range(len(source.shards)), engine, folder / "log" / "tokenize", progress.say)
        with progress.task("tokenizing held-out text"):
            summary = _put_together(config, source, folder)
        _require_sides(config, source, summary, needed)
        if summary["documents"]["invalid_utf8"]:
            progress.say(f"{summary['documents']['invalid_utf8']} documents held invalid UTF-8: it became U+FFFD.")
        write_json(folder / "counts.json", summary)
    for scratch in (shards, fetched):
        shutil.rmtree(scratch, ignore_errors=True)


def _require_same_text(made_of: dict[str, Any], begun: Path, folder: Path) -> None:
    """Refuse a text that is another one than the folder was begun with; raises InputError that names what changed."""
    now = as_plain(made_of)
    if not begun.is_file():
        write_json(begun, now)
    then = read_object(begun, files=list)
    if then != now:
        changed = next((one["name"] for one in now["files"] if one not in then["files"]), "the list of its files")
        raise InputError(
            f"the corpus {now['corpus']} is not the text that {folder} was begun with: {changed} has changed. "
            "Restore it to go on, or remove that folder to begin again."
        )


def _disk_needed(config: CorpusConfig, source: Source) -> int:
    """About how many bytes the stage writes: half a byte of token a byte of text, and held-out text twice."""
    held_out = config.validation_share + config.explain_share + config.score_share
    return int(source.size * (0.5 + 2 * held_out)) if config.documents is None else 0


def _require_documents(config: CorpusConfig, source: Source, needed: Sequence[str]) -> None:
    """Refuse a text with fewer documents than sides, before a tokenizer is trained on it."""
    documents = distinct_documents(chain.from_iterable(every_text(source)), Counter(), config.documents)
    found = len(list(islice(documents, len(needed))))
    if not found:
        raise InputError(f"the corpus {config.corpus} holds no text.")
    if found < len(needed):
        raise InputError(
            f"too little text: the corpus {config.corpus} holds {found} document{'s' * (found > 1)}, and {len(needed)} "
            f"are needed at least: one for each of {', '.join(needed)}.{blank_lines(found, source.plain_text)}"
        )


def _require_sides(config: CorpusConfig, source: Source, summary: dict[str, Any], needed: Sequence[str]) -> None:
    kept = summary["documents"]["kept"]
    for side in needed:
        if not summary["sides"][side]["documents"]:
            raise InputError(
                f"too little text: none of {kept} documents fell on the {side} side."
                f"{blank_lines(kept, source.plain_text)}{other_shares(config, side, needed)}"
            )


def _prepare_tokenizer(config: CorpusConfig, source: Source, path: Path) -> None:
    read = 0

    def counted(text: str) -> bool:
        nonlocal read
        read += len(text)
        return read - len(text) < BPE_TEXT

    if Path(config.tokenizer).exists():
        from cratelm.corpus.model_tokenizer import require_agreement  # which imports transformers: seconds

        require_agreement(tokenizer_path(Path(config.tokenizer)))
    beside = path.with_name(f"{path.name}.new")  # a killed run must not take half of it for all
    make_tokenizer(config.tokenizer, takewhile(counted, train_texts(config, source))).save(str(beside))
    beside.replace(path)


def _put_together(config: CorpusConfig, source: Source, folder: Path) -> dict[str, Any]:
    """The shards' train files in their place, and a file for each other side; gives what was counted."""
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    shards = [folder / "shards" / f"{number:05d}" for number in range(len(source.shards))]
    counts: Counter[str] = Counter()
    held_out: list[tuple[str, str]] = []
    for shard in shards:
        counts.update(read_json(shard.with_suffix(".counts.json")))
        held_out += read_json(shard.with_suffix(".held-out.json"))
    distinct = list({text: (side, text) for side, text in held_out}.values())
    counts["duplicate"] += len(held_out) - len(distinct)
    counts["kept"] -= len(held_out) - len(distinct)
    sides, groups, near_duplicates = split_held_out(distinct, config)
    written: dict[str, Any] = {side: write_side(folder / side, texts, tokenizer) for side, texts in sides.items()}
    for side in GROUPED:
        np.array(groups[side], dtype="<u8").tofile((folder / side).with_suffix(GROUPS))
    np.array([len(text.encode()) for text in sides["validation"]], dtype="<u8").tofile(folder / f"validation{SIZES}")
    written["train"] = _place_train(folder, shards)
    described = [entry for shard in shards for entry in read_json(shard.with_suffix(".source.json"))]
    made_of = origin(source, described)
    if not source.fetched:  # whose commit cannot change
        _require_same_text(made_of, folder / "shards" / CORPUS, folder)
    return {
        "documents": dict(counts),
        "near_duplicates": near_duplicates,
        "sides": written,
        "source": made_of,
        "tokenizer": {
            "vocabulary": count_ids(tokenizer),
            "bits": 8 * token_type(count_ids(tokenizer)).itemsize,
            "sha256": hash_file(folder / "tokenizer.json"),
        },
    }


def _place_train(folder: Path, shards: Sequence[Path]) -> dict[str, Any]:
    """Move the shards' files to where the train side is; a run that died among them goes on."""
    made = [read_json(shard.with_suffix(".train.json")) for shard in shards]
    for number, shard in enumerate(shards):
        for ending in (".ds", ".ds.index"):
            if shard.with_suffix(ending).is_file():
                shard.with_suffix(ending).replace(folder / f"{train_name(number)}{ending}")
    return {key: sum(shard[key] for shard in made) for key in ("documents", "tokens", "bytes")} | {"shards": made}
