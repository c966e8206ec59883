"""A checkpoint file in a repository of the hub, such as the paper's own: found, fetched and imported."""

import re
from pathlib import Path, PurePosixPath

from huggingface_hub import HfApi, hf_hub_download

from cratelm.corpus.hub import patiently
from cratelm.corpus.sources import ADDRESS
from cratelm.corpus.tokenizer import count_ids, gpt2_tokenizer, tokenizer_of
from cratelm.errors import InputError
from cratelm.models.imported import Imported, import_crate_alpha
from cratelm.models.nanochat import NAME, meta_name
from cratelm.models.official import import_official

INSTEAD = "the path of a checkpoint file"


def import_from_hub(address: str, activation: str | None, tokenizer: Path | None) -> Imported:
    """The model of `hub:OWNER/NAME[@REVISION][:FILE]`, with its tokenizer.

    That is the one that is given; else GPT-2's, or for nanochat-crate-a the repository's tokenizer.json. Raises
    InputError where the hub is off or has no such file, or the model's tokens are others.
    """
    file, source = fetch_checkpoint(address)
    if NAME.fullmatch(file.name):
        return import_crate_alpha(file, source, activation, tokenizer)
    made = import_official(file, activation)
    own = gpt2_tokenizer() if tokenizer is None else tokenizer_of(tokenizer)
    rows, needed = made.config.vocab_size, count_ids(own)
    if rows < needed:
        name = "GPT-2's tokenizer" if tokenizer is None else str(tokenizer)
        raise InputError(
            f"{source} is of a model with {rows} tokens, and {name} has {needed}. Give its own with --tokenizer."
        )
    return Imported(made, source, own)


def fetch_checkpoint(address: str) -> tuple[Path, str]:
    """The file in the hub's cache, and its address with the commit and the name; what it needs is next to it.

    Raises InputError for an address that names no checkpoint, and for a file that the repository does not hold.
    """
    parts = ADDRESS.fullmatch(address)
    if parts is None:
        raise InputError(
            f"{address} is not the name of a checkpoint on the hub: write hub:OWNER/NAME[@REVISION][:FILE]."
        )
    repository, revision, name = parts.groups()
    info = patiently(repository, INSTEAD, lambda: HfApi().model_info(repository, revision=revision))
    names = [file.rfilename for file in info.siblings or []]
    if name is not None and name not in names:
        raise InputError(f"{repository} holds no {name}. It holds {', '.join(names)}.")
    chosen = name or newest(repository, checkpoints(names))
    fetched = [
        patiently(repository, INSTEAD, lambda wanted=wanted: hf_hub_download(repository, wanted, revision=info.sha))
        for wanted in (*companions(chosen, names), chosen)
    ]
    return Path(fetched[-1]), f"hub:{repository}@{info.sha}:{chosen}"


def checkpoints(names: list[str]) -> list[str]:
    """The files that hold models: nanochat puts optimizers and tables of tokens next to them under other names."""
    files = [name for name in names if name.endswith(".pt")]
    return [name for name in files if NAME.fullmatch(PurePosixPath(name).name)] or files


def companions(chosen: str, names: list[str]) -> list[str]:
    """The files of a repository that a checkpoint of nanochat cannot be read without; of others, none."""
    if not NAME.fullmatch(PurePosixPath(chosen).name):
        return []
    wanted = (meta_name(chosen), str(PurePosixPath(chosen).with_name("tokenizer.json")))
    return [name for name in wanted if name in names]


def newest(repository: str, names: list[str]) -> str:
    """The checkpoint of the highest step, which is the last number of its name; InputError where that is not clear."""
    if not names:
        raise InputError(f"{repository} holds no checkpoint: no file ends in .pt.")
    steps = {name: int((re.findall(r"\d+", PurePosixPath(name).stem) or [-1])[-1]) for name in names}
    last = [name for name in names if steps[name] == max(steps.values())]
    if len(names) > 1 and (len(last) > 1 or -1 in steps.values()):
        raise InputError(f"{repository} holds {', '.join(names)}. Say which: hub:{repository}:{names[0]}")
    return last[0]
