"""The models of a study, loaded when somebody first asks for what only they can say."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from cratelm.errors import InputError
from cratelm.viewer.network import Network
from cratelm.viewer.viewed_study import ViewedModel

NETWORKS_KEPT = 3
_importing = Lock()


def require_running() -> None:
    """Import what runs models, in one thread: two that begin at once would see transformers half imported."""
    with _importing:
        import cratelm.viewer.heavy_imports  # noqa: F401


class Networks:
    """The models last asked for, which one thread at a time may run: what hooks a model would see another's passes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, bool], Network] = OrderedDict()
        self._lock = Lock()

    @contextmanager
    def open(self, viewed: ViewedModel, without_error: bool = False) -> Iterator[Network]:
        """A model of the study; `without_error`, with its autoencoders' reconstructions in place of what they read.

        Other threads wait until the context is closed. Raises InputError where the model is damaged or gone, or has no
        autoencoders to leave the error out of.
        """
        if without_error and not viewed.latents:
            raise InputError(f"{viewed.name} has no autoencoders: there is no error of theirs to leave out.")
        key = viewed.name, without_error
        with self._lock:
            if key not in self._kept:
                self._kept[key] = load_viewed(viewed, without_error)
                if len(self._kept) > NETWORKS_KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            yield self._kept[key]


def connections_of(networks: Networks, viewed: ViewedModel, layer: int, unit: int) -> dict[str, Any]:
    """Which units feed a unit of a study, and which it feeds; InputError where that is not known of its model."""
    require_running()
    from cratelm.viewer.heavy_imports import connections_document

    with networks.open(viewed) as network:
        return connections_document(network, layer, unit)


def load_viewed(viewed: ViewedModel, without_error: bool) -> Network:
    """A model of a study, in memory: InputError where it is gone, or another than the one that was measured."""
    require_running()
    from cratelm.viewer.heavy_imports import open_subject, open_with_latents

    if not viewed.model_folder.is_dir():
        raise InputError(f"{viewed.model_folder} is missing: what needs the model itself is not shown.")
    if open_subject(str(viewed.model_folder)).sha256 != viewed.records.manifest["inputs"]["model"]:
        raise InputError(
            f"{viewed.folder / 'models' / viewed.name} is another model than the one that was measured: its files have "
            "changed. Restore them, or measure it again in another folder."
        )
    return Network(*open_with_latents(viewed.model_folder, without_error), viewed)
