"""SAELens, where it is installed: the extra `sae`."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from cratelm.errors import InputError


def require_sae_lens() -> ModuleType:
    """SAELens itself, which takes seconds to import; InputError says how to install it."""
    try:
        import sae_lens
    except ImportError as error:
        raise InputError("sparse autoencoders need SAELens: pip install 'cratelm[sae]'") from error
    return sae_lens


@contextmanager
def quiet_sae_lens() -> Iterator[ModuleType]:
    """SAELens, without its advice on other ways to load a model; what matters of it is checked or refused here."""
    lens = require_sae_lens()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield lens
