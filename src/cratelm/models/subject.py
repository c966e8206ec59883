"""What is measured: any model with its tokenizer, and text cut into tokens by that tokenizer."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import is_offline_mode, snapshot_download
from huggingface_hub.errors import GatedRepoError, HFValidationError, RevisionNotFoundError

from cratelm.artifacts import MANIFEST, Artifact, hash_file, open_artifact, read_object
from cratelm.corpus.config import CorpusConfig
from cratelm.corpus.hub import NETWORK
from cratelm.corpus.model_tokenizer import require_agreement, require_tokenizer_file, same_cut
from cratelm.corpus.read_tokens import GROUPED, read_tokenizer
from cratelm.corpus.tokenizer import end_of_text_id, load_tokenizer, special_ids, unknown_id
from cratelm.corpus.tokens import tokenize
from cratelm.errors import InputError, first_line
from cratelm.folder_names import refuse_no_model
from cratelm.loading import DEFAULT_OPENING, OpeningConfig
from cratelm.models.devices import find_device
from cratelm.progress import Progress

DESCRIBING = ("*.json", "merges.txt", "vocab.txt")
NEEDED = (*DESCRIBING, "*.safetensors")
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


@dataclass(frozen=True)
class HubModel(ForeignModel):
    """One that was downloaded from the hub into its cache."""

    repository: str
    commit: str

    @property
    def name(self) -> str:
        """The repository's name, without its owner's."""
        return self.repository.rpartition("/")[2]

    @property
    def origin(self) -> dict[str, str]:
        """The repository, and the commit that the files are of."""
        return {"repository": self.repository, "commit": self.commit}


def open_subject(model: str, opening: OpeningConfig = DEFAULT_OPENING) -> Artifact:
    """A finished training or sae stage, any transformers folder, or a model of the hub, by its folder or name.

    Raises InputError where there is none, it has no tokenizer, its files disagree about how text is cut, or the device
    of `opening` is not there.
    """
    found: Artifact = find_model(model, opening)
    if (found.path / MANIFEST).is_file():
        found = open_artifact(found.path, "sae" if (found.path / SAES).is_file() else "model")
    require_agreement(require_tokenizer_file(model_folder(found)))
    return found


def find_model(model: str, opening: OpeningConfig) -> ForeignModel:
    """A folder, or the folder of a model of the hub, whatever files are in it.

    Raises InputError where there is none, a folder is a study or another stage's, it is asked for another version, or
    the device is not there.
    """
    find_device(opening.device)
    path = Path(model)
    if not path.is_dir():
        return _from_hub(model, opening.revision)
    if opening.revision is not None:
        raise InputError(
            f"--revision {opening.revision} is for a model of the hub, and {model} is a folder, which holds one "
            "version. Leave it out."
        )
    refuse_no_model(path)
    return ForeignModel(path, {})


def require_embedding(tokens: Artifact, vocabulary: int, rows: int, start: int | None = None) -> None:
    """Refuse text whose tokenizer has more tokens than the model's embedding has rows; raises InputError.

    Special tokens that no text holds, as one that pads, may lie beyond it. `start` is the one that texts begin with.
    """
    if vocabulary <= rows:
        return
    tokenizer = read_tokenizer(tokens)
    beyond = {number: token for token, number in tokenizer.get_vocab().items() if number >= rows}
    if not beyond.keys() <= special_ids(tokenizer):
        raise InputError(
            f"the tokenizer in {tokens.path} has {vocabulary} tokens, and the model's embedding {rows} rows. If these "
            "tokens were made for another model, give the text itself; otherwise the model's tokenizer.json and "
            "config.json do not fit each other."
        )
    for number in beyond.keys() & {start, end_of_text_id(tokenizer), unknown_id(tokenizer)}:
        raise InputError(
            f"the special token {beyond[number]} has the id {number}, and the model's embedding {rows} rows: it cannot "
            f"be read. Give {tokens.path / 'tokenizer.json'} the tokens that the model was trained with."
        )


def model_folder(model: Artifact) -> Path:
    """Where a model's weights lie: a training stage has them in a folder of their own."""
    own = model.path / "model"
    return own if (model.path / MANIFEST).is_file() and own.is_dir() else model.path


def tokenizer_file(model: Artifact) -> Path:
    """The model's own tokenizer."""
    return model_folder(model) / "tokenizer.json"


def _from_hub(name: str, revision: str | None) -> HubModel:
    """A model of the hub, of which what describes it is fetched first: weights that cannot be used are large."""
    folder = _download(name, revision, DESCRIBING)
    if not (folder / "tokenizer.json").is_file():
        raise InputError(
            f"{name} on the hub holds no tokenizer.json, only the files of a slow tokenizer. Save it as a fast one, "
            f"next to the weights, by AutoTokenizer.from_pretrained({name!r}).save_pretrained(FOLDER), and give FOLDER."
        )
    folder = _download(name, folder.name, NEEDED)
    if not any(folder.glob("*.safetensors")):
        raise InputError(
            f"{name} on the hub holds no safetensors, and weights in other files can run code. Save it anew, by "
            f"AutoModelForCausalLM.from_pretrained({name!r}).save_pretrained(FOLDER), and give FOLDER."
        )
    return HubModel(folder, {}, name, folder.name)


def _download(name: str, revision: str | None, patterns: Sequence[str]) -> Path:
    """The folder of the hub's cache, named after the commit, with those files of a model that match a pattern."""
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))
    except GatedRepoError as error:
        raise InputError(
            f"{name} on the hub is gated: ask for access on the model's page. A token that has it is read from the "
            "environment variable HF_TOKEN."
        ) from error
    except RevisionNotFoundError as error:
        raise InputError(
            f"{name} on the hub has no revision {revision}: give a commit, branch or tag of it."
        ) from error
    except (*NETWORK, HFValidationError) as error:  # type: ignore[not-a-type]
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's fault, not the hub's
        reason = first_line(error)
        if is_offline_mode():
            which = "that name" if revision is None else f"that name and revision {revision}"
            reason = f"the hub is off, and its cache has none of {which}: HF_HUB_OFFLINE=0 turns it on"
        raise InputError(f"there is no folder {name}, and no model of the hub: {reason}.") from error


def tokens_for(model: Artifact, text: str, out: Path, progress: Progress, needed: Sequence[str] = GROUPED) -> Artifact:
    """The tokens of `text` for `model`: a finished corpus folder as it is, anything else cut into tokens in `out`.

    `needed` are the sides that will be read; units are measured on those of the default. Raises InputError where one
    gets no document, or the tokens were made with another tokenizer than the model's, which may have changed since.
    """
    made = (Path(text) / MANIFEST).is_file()
    config = CorpusConfig(text, tokenizer=_tokenizer_of(out) or str(tokenizer_file(model)))
    tokens = open_artifact(Path(text), "tokens") if made else tokenize(config, out, progress, needed=needed)
    if not same_cut(read_tokenizer(tokens), load_tokenizer(tokenizer_file(model))):
        other = (
            "Give the text itself, which is then cut into the model's own tokens." if made else "Remove that folder."
        )
        raise InputError(f"{tokens.path} was made with another tokenizer than that of {model.path}. {other}")
    return tokens


def _tokenizer_of(out: Path) -> str | None:
    """Where the tokenizer of finished tokens was: the model may have moved, and is compared by how it cuts text."""
    if not (out / MANIFEST).is_file():
        return None
    return read_object(out / MANIFEST, config=dict)["config"].get("tokenizer")
