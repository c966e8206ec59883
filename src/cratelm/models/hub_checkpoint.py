"""A checkpoint file in a repository of the hub, such as the paper's own: found, fetched and imported."""

import re
from pathlib import Path, PurePosixPath

from huggingface_hub import HfApi, hf_hub_download

from cratelm.corpus.hub import patiently
from cratelm.corpus.sources import ADDRESS
from cratelm.corpus.tokenizer import count_ids, gpt2_tokenizer
from cratelm.errors import InputError
from cratelm.models.official import import_official
from cratelm.models.save import save_model, save_tokenizer
from cratelm.stages import write_whole

INSTEAD = "the path of a checkpoint file"


def import_from_hub(address: str, out: Path, activation: str | None) -> None:
    """Write the model of `hub:OWNER/NAME[@REVISION][:FILE]` to `out`, with GPT-2's tokenizer beside it.

    Raises InputError where the hub is off or has no such file, or the file is no checkpoint over GPT-2's tokens.
    """
    file, source = fetch_checkpoint(address)
    made, tokenizer = import_official(file, activation), gpt2_tokenizer()
    rows, needed = made.config.vocab_size, count_ids(tokenizer)
    if rows < needed:
        raise InputError(
            f"{source} is of a model with {rows} tokens, and GPT-2's tokenizer has {needed}. Import the file {file}, "
            "and put the model's own tokenizer.json beside it."
        )

    def write(place: Path) -> None:
        save_model(made, place, {"Imported from": source})
        save_tokenizer(tokenizer, made.config.max_position_embeddings, place)

    write_whole(out, write)


def fetch_checkpoint(address: str) -> tuple[Path, str]:
    """The file in the hub's cache, and its address with the commit and the name."""
    parts = ADDRESS.fullmatch(address)
    if parts is None:
        raise InputError(f"{address} is no checkpoint of the hub: write hub:OWNER/NAME[@REVISION][:FILE].")
    repository, revision, name = parts.groups()
    info = patiently(repository, INSTEAD, lambda: HfApi().model_info(repository, revision=revision))
    names = [file.rfilename for file in info.siblings or []]
    if name is not None and name not in names:
        raise InputError(f"{repository} holds no {name}. It holds {', '.join(names)}.")
    chosen = name or newest(repository, [name for name in names if name.endswith(".pt")])
    file = patiently(repository, INSTEAD, lambda: hf_hub_download(repository, chosen, revision=info.sha))
    return Path(file), f"hub:{repository}@{info.sha}:{chosen}"


def newest(repository: str, names: list[str]) -> str:
    """The checkpoint of the highest step, which is the last number of its name; InputError where that is not clear."""
    if not names:
        raise InputError(f"{repository} holds no checkpoint: no file ends in .pt.")
    steps = {name: int((re.findall(r"\d+", PurePosixPath(name).stem) or [-1])[-1]) for name in names}
    last = [name for name in names if steps[name] == max(steps.values())]
    if len(names) > 1 and (len(last) > 1 or -1 in steps.values()):
        raise InputError(f"{repository} holds {', '.join(names)}. Say which: hub:{repository}:{names[0]}")
    return last[0]
