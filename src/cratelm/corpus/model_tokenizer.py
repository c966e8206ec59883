"""The tokenizer of a model's folder: one for every command, and the token that a model reads first.

`tokenizer.json` says how a text is cut. transformers may build another tokenizer from the same folder, because
`tokenizer_class` names a class that keeps the vocabulary alone, or because other files of the folder say otherwise.
Such a folder is refused: nothing in it tells with which tokenizer the model was trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from cratelm.corpus.tokenizer import END_OF_TEXT, load_tokenizer
from cratelm.errors import InputError, first_line
from cratelm.files import FileState
from cratelm.whole_texts import keep_whole

FILE = "tokenizer.json"
SETTINGS = ("tokenizer_config.json", "config.json")
"""What transformers chooses a tokenizer's class by: the first of these that a folder holds."""
READ = (".json", ".txt", ".model")
"""The endings of the files that transformers builds a tokenizer from."""
CUTTING = ("normalizer", "pre_tokenizer", "model")
"""The parts of a tokenizer.json that, with the added tokens, decide how a text is cut."""
PROBES = (
    "The film's plot wasn't new; they'd seen it (in 1999)! \"Why?\" she ASKED: 12,345.67 + 8 = ?",
    "  leading  and   repeated spaces\ttabs\n\n\nblank lines\r\n    indented\u00a0no-break   ",
    "def f(x_1: int) -> str:\n\treturn f'{x_1!r}' # snake_case camelCase a.b->c != d && e || f",
    "é e\u0301 ﬁ ½ ² Å Ångström naïve İstanbul Straße ＡＢＣ １２３ \u200b\ufeff漢字かな 한국어 हिन्दी العربية 🙂👩‍👩‍👧",
    "\x00\x07\x1b control, \ufffd replaced, … dots — dashes ‘quotes’ <s> [UNK] </s> <|endoftext|> @user #tag a.b/c?d=1",
)
"""Texts that tokenizers are known to cut differently: spaces, contractions, digits, case, accents, scripts, marks."""


def open_model_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a model's folder, as its tokenizer.json cuts text.

    A special token spelled out in a text is plain characters. Before a text it puts the one token that the model's own
    tokenizer puts there, if any, and nothing after it. Raises InputError where the folder has no tokenizer.json, or
    transformers builds a tokenizer from the folder that cuts text differently.
    """
    file = require_tokenizer_file(folder)
    own, built = load_own(file), _look_at(file)
    # The tokenizer is copied, and the post-processor put into the copy.
    how = {"tokenizer_object": own, "post_processor": _before_text(own, file, built.first)}
    return PreTrainedTokenizerFast(**how, split_special_tokens=True, **dict(built.names))


@dataclass(frozen=True)
class Built:
    """What the tokenizer that transformers builds from a folder says, in addition to how it cuts text."""

    names: tuple[tuple[str, str], ...]
    """The special tokens that the file knows too, by transformers' name of their use."""
    first: tuple[int, ...]
    """What it puts before a text."""


def _look_at(file: Path) -> Built:
    """`Built` of a tokenizer.json's folder, made once a process as long as nothing there is written again."""
    beside = (path for path in sorted(file.parent.iterdir()) if path.suffix in READ and path.is_file())
    return _build(file, tuple(FileState.of(path) for path in beside))


@lru_cache(maxsize=4)
def _build(file: Path, state: tuple[FileState, ...]) -> Built:
    own = load_own(file)
    built = build_tokenizer(file, own)
    names = {name: getattr(built, name) for name in ("bos_token", "eos_token", "unk_token", "pad_token")}
    known = {name: str(token) for name, token in names.items() if token is not None}
    known = {name: token for name, token in known.items() if own.token_to_id(token) is not None}
    whole, plain = (list(built("a", add_special_tokens=flag)["input_ids"]) for flag in (True, False))
    places = [place for place in range(len(whole)) if whole[place : place + len(plain)] == plain]
    return Built(tuple(known.items()), tuple(whole[: places[0]] if places else ()))


def require_tokenizer_file(folder: Path) -> Path:
    """A model folder's tokenizer.json; InputError says how to make one."""
    file = folder / FILE
    if not file.is_file():
        raise InputError(
            f"{folder} holds no tokenizer.json, and a model's text cannot be tokenized without it. Save it there, as "
            "AutoTokenizer.from_pretrained(…).save_pretrained(…) does."
        )
    return file


def load_own(file: Path) -> Tokenizer:
    """What a tokenizer.json says; InputError where it is damaged."""
    try:
        return load_tokenizer(file)
    except InputError:
        raise
    except Exception as error:  # tokenizers raises nothing narrower
        raise InputError(f"{file} is not a tokenizer: {first_line(error)}") from error


def build_tokenizer(file: Path, own: Tokenizer) -> PreTrainedTokenizerBase:
    """The tokenizer that transformers builds from the folder of a tokenizer.json, which says `own`; nothing is run.

    Raises InputError, naming both files, where it builds none, or one that cuts text differently than the file says.
    """
    settings = next((file.parent / name for name in SETTINGS if (file.parent / name).is_file()), file)
    try:
        built: Any = AutoTokenizer.from_pretrained(file.parent, local_files_only=True, trust_remote_code=False)
        built("a")  # settings of the wrong type show when a text is cut
        found = _difference(own, built)
    except Exception as error:  # tokenizers raises nothing narrower
        raise InputError(
            f"transformers builds no tokenizer from {settings}, so nothing tells whether {file} cuts text as the "
            f"model's own does: {first_line(error)}"
        ) from error
    if found:
        raise InputError(
            f"{file} and {settings} disagree: transformers builds a {type(built).__name__} from the folder, which "
            f"{found}. Save the tokenizer that the model was trained with again; its tokenizer_class is often wrong."
        )
    return built


def require_agreement(file: Path) -> None:
    """Refuse a tokenizer.json in a model's folder from which transformers builds a tokenizer that cuts differently."""
    if any((file.parent / name).is_file() for name in SETTINGS):
        _look_at(file)


def start_token(tokenizer: PreTrainedTokenizerFast) -> int | None:
    """The token that a model reads before every text: the same in every command.

    It is what the model's own tokenizer puts first; else the end-of-text token, which training puts before a document;
    else its end or beginning of a sequence. None where the vocabulary has none of these.
    """
    first = _first_tokens(tokenizer.backend_tokenizer)
    return _start(tokenizer.backend_tokenizer, first, tokenizer.eos_token, tokenizer.bos_token)


def _start(own: Tokenizer, first: Sequence[int], *names: str | None) -> int | None:
    known = (own.token_to_id(str(name)) for name in (END_OF_TEXT, *names) if name is not None)
    return next((number for number in (*first, *known) if number is not None), None)


def model_start(folder: Path) -> int:
    """The `start_token` of the model in a folder; InputError where its tokenizer has none."""
    file = require_tokenizer_file(folder)
    own, built = load_own(file), _look_at(file)
    _before_text(own, file, built.first)  # refuses what no command could put before a text
    names = dict(built.names)
    start = _start(own, built.first, names.get("eos_token"), names.get("bos_token"))
    if start is None:
        raise InputError(f"the tokenizer in {folder} has no token {END_OF_TEXT} and no other to begin a text with.")
    return start


def same_cut(one: Tokenizer, other: Tokenizer) -> bool:
    """Whether two tokenizers give every text the same tokens, as far as their parts and `PROBES` tell."""
    if _parts(one) == _parts(other) or one.get_vocab() != other.get_vocab():
        return one.get_vocab() == other.get_vocab()
    texts = [*PROBES, _all_tokens(one)]
    return _cut(one, texts) == _cut(other, texts)


def _difference(own: Tokenizer, built: PreTrainedTokenizerBase) -> str | None:
    """How the tokenizer that transformers built differs from a file's; None where it does not."""
    backend = getattr(built, "backend_tokenizer", None)
    if backend is not None:
        keep_whole(backend)
        if _parts(own) == _parts(backend):
            return None
    added = [token.content for token in own.get_added_tokens_decoder().values()]
    added += [str(token) for token in built.added_tokens_decoder.values()]
    texts = [*PROBES, *(f"a {token} b{token}c" for token in added), _all_tokens(own)]
    for text, expected in zip(texts, _cut(own, texts), strict=True):
        found = list(built(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"])
        if found != expected:
            shown = text if len(text) <= 30 else text[:30] + "…"
            count = "other tokens" if len(found) == len(expected) else f"{len(found)} tokens, not {len(expected)}"
            return f"cuts {shown!r} into {count}"
    return None


def _parts(tokenizer: Tokenizer) -> dict[str, Any]:
    """What decides how a tokenizer cuts text; special tokens are left out, which no text is cut into.

    As bytes: reading a vocabulary of 262,144 tokens as JSON takes seconds.
    """
    parts = {name: getattr(tokenizer, name) for name in CUTTING}
    added = sorted(repr(token) for token in tokenizer.get_added_tokens_decoder().values() if not token.special)
    return {name: part and part.__getstate__() for name, part in parts.items()} | {"added_tokens": added}


def _cut(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False)]


def _all_tokens(tokenizer: Tokenizer) -> str:
    """A text that holds every token of the vocabulary as far as it is one, so that other merges show."""
    return " ".join(tokenizer.decode([number]) for number in sorted(tokenizer.get_vocab().values()))


def _first_tokens(tokenizer: Tokenizer) -> list[int]:
    """What a tokenizer's own post-processing puts before a text."""
    encoding = tokenizer.encode("a")
    pairs = zip(encoding.ids, encoding.special_tokens_mask, strict=True)
    return [number for number, _ in takewhile(lambda pair: pair[1], pairs)]


def _before_text(own: Tokenizer, file: Path, first: tuple[int, ...]) -> TemplateProcessing:
    """The post-processing that puts before a text what transformers puts there, one token or none.

    The folder's own would also trim the spans of tokens, which say where a word begins.
    """
    if not first:
        return TemplateProcessing(single="$A:0", pair="$A:0 $B:1")
    name = own.id_to_token(first[0])
    if len(first) > 1 or name is None:
        raise InputError(
            f"the tokenizer in {file.parent} puts the tokens {list(first)} before a text, where one token of {file} is "
            "supported. Save a tokenizer that puts one there, or none."
        )
    single = [f"{name}:0", "$A:0"]
    return TemplateProcessing(single=single, pair=[*single, "$B:1"], special_tokens=[(name, first[0])])
