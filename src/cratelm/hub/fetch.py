"""A study or a recording of the hub, by its address: downloaded, or read from the hub's cache."""

import re
from pathlib import Path

from cratelm.errors import InputError

HUB = "hub:"
ADDRESS = re.compile(r"hub:([\w.-]+/[\w.-]+)(?:@([^\s@:]+))?")


def local_folder(place: str | Path) -> Path:
    """The folder of `hub:OWNER/NAME[@REVISION]` in the hub's cache; of any other place that place itself.

    What is whole in the cache is not fetched again, and a download that broke off goes on. Raises InputError where the
    hub is off or has no such data set, RunError where it does not answer.
    """
    if not str(place).startswith(HUB):
        return Path(place)
    address = ADDRESS.fullmatch(str(place))
    if address is None:
        raise InputError(f"{place} is not the name of a study on the hub: write hub:OWNER/NAME[@REVISION].")
    from cratelm.corpus.hub import dataset_folder  # the hub's client is imported where it is needed

    repository, revision = address.groups()
    return dataset_folder(repository, ["*"], revision, "the path of a folder")
