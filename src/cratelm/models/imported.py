"""A model of another project in any of the formats that are read, with the tokenizer that belongs to it."""

from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from cratelm.corpus.tokenizer import count_ids, tokenizer_of
from cratelm.errors import InputError
from cratelm.models.decoder import DecoderForCausalLM
from cratelm.models.nanochat import import_nanochat, nanochat_file
from cratelm.models.official import import_official
from cratelm.models.openai import import_gpt2
from cratelm.models.save import save_model, save_tokenizer


@dataclass(frozen=True)
class Imported:
    """A model, where it came from, and its tokenizer where one is known."""

    model: DecoderForCausalLM
    source: str
    tokenizer: Tokenizer | None

    def save(self, folder: Path) -> None:
        """Write the model's folder."""
        save_model(self.model, folder, {"Imported from": self.source})
        if self.tokenizer is not None:
            save_tokenizer(self.tokenizer, self.model.config.max_position_embeddings, folder)


def import_local(source: str, activation: str | None, tokenizer: Path | None) -> Imported:
    """The model of a checkpoint file or a folder of this machine, or of GPT-2 by its name on the hub.

    `tokenizer` is a tokenizer.json or a folder with one. Raises InputError naming what is missing, wrong or not needed.
    """
    path = Path(source)
    of_nanochat = nanochat_file(path)
    if of_nanochat is not None:
        return import_crate_alpha(of_nanochat, of_nanochat.name, activation, tokenizer)
    own = None if tokenizer is None else tokenizer_of(tokenizer)
    if path.is_file() or source.endswith(".pt"):
        return _fitting(Imported(import_official(path, activation), path.name, own), tokenizer)
    if activation is not None:
        raise InputError("--activation is for a GPT in a checkpoint file; a model's folder says what its own is.")
    return _fitting(Imported(import_gpt2(source), source, own), tokenizer)


def import_crate_alpha(file: Path, source: str, activation: str | None, tokenizer: Path | None) -> Imported:
    """The model of a checkpoint of nanochat-crate-a, with the tokenizer that is given or lies next to it.

    Raises InputError where there is no tokenizer.json, or one of another number of tokens.
    """
    if not file.is_file():
        raise InputError(f"{file}: there is no such file.")
    if activation is not None:
        raise InputError(f"{file} is of nanochat-crate-a, whose code is a ReLU's: leave --activation out.")
    beside = file.with_name("tokenizer.json")
    if tokenizer is None and not beside.is_file():
        raise InputError(
            f"{file.parent} holds no tokenizer.json. Give --tokenizer FILE; nanochat's tokenizer.pkl can run code and "
            "is not read (docs/models.md says how to turn it into one)."
        )
    own = tokenizer_of(tokenizer or beside)
    made = import_nanochat(file)
    if count_ids(own) != made.config.vocab_size:
        raise InputError(
            f"{tokenizer or beside} has {count_ids(own)} tokens, and {file} was trained with {made.config.vocab_size}: "
            "it belongs to another model."
        )
    return Imported(made, source, own)


def _fitting(found: Imported, tokenizer: Path | None) -> Imported:
    """The same; InputError where the tokenizer has more tokens than the model's embedding has rows."""
    rows = found.model.config.vocab_size
    if found.tokenizer is not None and count_ids(found.tokenizer) > rows:
        raise InputError(
            f"{tokenizer} has {count_ids(found.tokenizer)} tokens, and {found.source} has rows for {rows}: it belongs "
            "to another model."
        )
    return found
