"""Send a folder to the hub. What would be sent is known, and checked, before anything leaves this machine."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, is_offline_mode

from cratelm.errors import InputError
from cratelm.hub.contents import Contents
from cratelm.hub.failures import TOKEN, explained
from cratelm.hub.kinds import Kind, kind_of
from cratelm.hub.licence import licence_of

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
CARD = "README.md"


@dataclass(frozen=True)
class Parcel:
    """All that a push sends, and what stays at home."""

    repository: str
    kind: Kind
    contents: Contents
    licence: str | None
    """Of the text."""
    card: str
    """What README.md of the repository will say."""


def pack(folder: Path, repository: str, licence: str | None) -> Parcel:
    """What `cratelm push` would send: every file that is listed in a manifest has the hash that it says.

    `licence` is that of the text, where the user gives it. Raises InputError where the folder is nothing that can be
    sent, a file is damaged, the name is none of a repository, or the text may not be published.
    """
    if not NAME.fullmatch(repository):
        raise InputError(f"{repository!a} is not the name of a repository on the hub: write OWNER/NAME.")
    kind = kind_of(folder)
    corpus = kind.corpus(folder)
    under = licence_of(corpus, licence, kind.excerpts)
    return Parcel(repository, kind, kind.contents(folder), under, kind.card(folder, repository, corpus, under))


def send(parcel: Parcel, private: bool) -> str:
    """Make the repository unless it is there, and send the parcel in one commit; gives its address.

    Files of an earlier push that the parcel's own folders no longer hold are removed. Raises InputError or RunError,
    with one line, for whatever the hub refuses.
    """
    api = HfApi(token=_token())
    where = {"repo_id": parcel.repository, "repo_type": parcel.kind.repository_type}
    with explained(parcel.repository):
        url = api.create_repo(**where, private=private, exist_ok=True, space_sdk=parcel.kind.sdk)
        stale = _stale(parcel, api.list_repo_files(**where))
        operations = [*_additions(parcel), *(CommitOperationDelete(name) for name in stale)]
        api.create_commit(**where, operations=operations, commit_message=f"{parcel.kind.name} of cratelm")
    return str(url)


def _token() -> str:
    """The user's token, from the environment and from nowhere else; InputError where there is none."""
    if is_offline_mode():
        raise InputError("the hub is off: HF_HUB_OFFLINE=0 turns it on for a command.")
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise InputError(f"no token is in the environment variable {TOKEN}. Make one: huggingface.co/settings/tokens.")
    return token


def _additions(parcel: Parcel) -> list[CommitOperationAdd]:
    files = {name: file for name, file in parcel.contents.files.items() if name != CARD}
    card = CommitOperationAdd(CARD, parcel.card.encode())
    return [card, *(CommitOperationAdd(name, str(file)) for name, file in files.items())]


def _stale(parcel: Parcel, there: list[str]) -> list[str]:
    """The files of the repository that lie in a folder of the parcel's, and are none of its own."""
    folders = {name.partition("/")[0] for name in parcel.contents.files if "/" in name}
    return [name for name in there if name.partition("/")[0] in folders and name not in parcel.contents.files]
