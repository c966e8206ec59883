"""A language model whose neurons can be read, and the instrument that proves it.

`import cratelm` imports nothing else: PyTorch and the rest come when something is first asked for (docs/python.md).
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cratelm.errors import InputError as InputError
    from cratelm.errors import RunError as RunError
    from cratelm.interface.activations import Activations as Activations
    from cratelm.interface.activations import Peak as Peak
    from cratelm.interface.added_metrics import explainers as explainers
    from cratelm.interface.added_metrics import metric as metric
    from cratelm.interface.added_metrics import metrics as metrics
    from cratelm.interface.attributed import Attributed as Attributed
    from cratelm.interface.demo_study import demo as demo
    from cratelm.interface.excerpt import Excerpt as Excerpt
    from cratelm.interface.loaded_model import LoadedModel as LoadedModel
    from cratelm.interface.loaded_model import load as load
    from cratelm.interface.open_folder import open as open
    from cratelm.interface.opened_stages import OpenedExplanations as OpenedExplanations
    from cratelm.interface.opened_stages import OpenedRecording as OpenedRecording
    from cratelm.interface.opened_stages import OpenedScores as OpenedScores
    from cratelm.interface.opened_study import OpenedStudy as OpenedStudy
    from cratelm.interface.opened_unit import Unit as Unit
    from cratelm.interface.stages import explain as explain
    from cratelm.interface.stages import measure as measure
    from cratelm.interface.stages import record as record
    from cratelm.interface.stages import score as score
    from cratelm.interface.stages import study as study
    from cratelm.interface.stages import tokenize as tokenize
    from cratelm.interface.stages import train as train

__version__ = "0.1.0"

_MODULES = {
    "errors": ("InputError", "RunError"),
    "interface.activations": ("Activations", "Peak"),
    "interface.added_metrics": ("explainers", "metric", "metrics"),
    "interface.attributed": ("Attributed",),
    "interface.demo_study": ("demo",),
    "interface.excerpt": ("Excerpt",),
    "interface.loaded_model": ("LoadedModel", "load"),
    "interface.open_folder": ("open",),
    "interface.opened_stages": ("OpenedExplanations", "OpenedRecording", "OpenedScores"),
    "interface.opened_study": ("OpenedStudy",),
    "interface.opened_unit": ("Unit",),
    "interface.stages": ("explain", "measure", "record", "score", "study", "tokenize", "train"),
}
"""The public names, by the module that has them; a test compares them with the imports above."""
_PUBLIC = {name: module for module, names in _MODULES.items() for name in names}
__all__ = ["__version__", *_PUBLIC]  # type: ignore[bad-dunder-all]


def __getattr__(name: str) -> Any:
    """A public name, whose module is imported now."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'cratelm' has no attribute {name!r}")
    return getattr(import_module(f"cratelm.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)


class _Package(ModuleType):
    """Keeps `cratelm.explain` the function: explain/, score/, study.py and measure.py have names of functions, and
    Python binds a module to its package's attribute when it is imported. `from cratelm.explain.config import …` needs
    no such attribute."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _PUBLIC and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
