"""What is measured: any model with its tokenizer, and text cut into tokens by that tokenizer."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import is_offline_mode, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from cratelm.artifacts import MANIFEST, Artifact, hash_file, open_artifact
from cratelm.corpus.config import CorpusConfig
from cratelm.corpus.model_tokenizer import require_agreement, require_tokenizer_file, same_cut
from cratelm.corpus.tokenizer import load_tokenizer
from cratelm.corpus.tokens import read_tokenizer, tokenize
from cratelm.errors import InputError, first_line
from cratelm.progress import Progress

NEEDED = ("*.json", "*.safetensors", "merges.txt", "vocab.txt")
SAES = "sae.json"
"""The file that tells a folder of sparse autoencoders, which counts as a model: the one that they were made for, read
through them (sae/open.py)."""


@dataclass(frozen=True)
class ForeignModel(Artifact):
    """A transformers folder that no stage of ours made: known by its files' hashes."""

    @property
    def sha256(self) -> str:
        """The hash of all files that a model or a tokenizer is read from."""
        digest = hashlib.sha256()
        for file in sorted(file for pattern in NEEDED for file in self.path.glob(pattern)):
            digest.update(f"{file.name} {hash_file(file)}\n".encode())
        return digest.hexdigest()


def open_subject(model: str) -> Artifact:
    """A finished training or sae stage, any transformers folder, or a model of the hub, by its folder or name.

    Raises InputError where there is none, it has no tokenizer, or its files disagree about how text is cut.
    """
    path = Path(model)
    if (path / MANIFEST).is_file():
        found = open_artifact(path, "sae" if (path / SAES).is_file() else "model")
    else:
        found = ForeignModel(path if path.is_dir() else _from_hub(model), {})
    require_agreement(require_tokenizer_file(model_folder(found)))
    return found


def require_embedding(tokens: Artifact, vocabulary: int, rows: int) -> None:
    """Refuse text whose tokenizer has more tokens than the model's embedding has rows; raises InputError."""
    if vocabulary > rows:
        raise InputError(
            f"the tokenizer in {tokens.path} has {vocabulary} tokens, and the model's embedding {rows} rows. If these "
            "tokens were made for another model, give the text itself; otherwise the model's tokenizer.json and "
            "config.json do not fit each other."
        )


def model_folder(model: Artifact) -> Path:
    """Where a model's weights lie: a training stage has them in a folder of their own."""
    own = model.path / "model"
    return own if (model.path / MANIFEST).is_file() and own.is_dir() else model.path


def tokenizer_file(model: Artifact) -> Path:
    """The model's own tokenizer."""
    return model_folder(model) / "tokenizer.json"


def _from_hub(name: str) -> Path:
    try:
        return Path(snapshot_download(name, allow_patterns=list(NEEDED)))
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        reason = first_line(error)
        if is_offline_mode():
            reason = "the hub is off, and its cache has none of that name: HF_HUB_OFFLINE=0 turns it on"
        raise InputError(f"there is no folder {name}, and no model of the hub: {reason}.") from error


def tokens_for(model: Artifact, text: str, out: Path, progress: Progress) -> Artifact:
    """The tokens of `text` for `model`: a finished corpus folder as it is, anything else cut into tokens in `out`.

    Raises InputError where a corpus folder was made with another tokenizer than the model's.
    """
    if not (Path(text) / MANIFEST).is_file():
        return tokenize(CorpusConfig(text, tokenizer=str(tokenizer_file(model))), out, progress)
    tokens = open_artifact(Path(text), "tokens")
    if not same_cut(read_tokenizer(tokens), load_tokenizer(tokenizer_file(model))):
        raise InputError(
            f"{text} was made with another tokenizer than {model.path}. Give the text itself, which is then cut into "
            "the model's own tokens."
        )
    return tokens
