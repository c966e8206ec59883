"""SAELens, where it is installed: the extra `sae`."""

from types import ModuleType

from cratelm.errors import InputError


def require_sae_lens() -> ModuleType:
    """SAELens itself, which takes seconds to import; InputError says how to install it."""
    try:
        import sae_lens
    except ImportError as error:
        raise InputError("sparse autoencoders need SAELens: pip install 'cratelm[sae]'") from error
    return sae_lens
