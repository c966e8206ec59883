"""The study that comes with the package."""

from cratelm.demo.unpack import unpack_demo
from cratelm.interface.opened_study import OpenedStudy
from cratelm.progress import Progress


def demo() -> OpenedStudy:
    """A finished study to look at: CRATE and GPT-2, trained on Python source (docs/python.md).

    The first call unpacks it into the user's cache folder. Raises InputError where that cannot be written.

    >>> import cratelm
    >>> cratelm.demo().models
    ['crate', 'gpt2']
    """
    with Progress() as progress:
        return OpenedStudy(unpack_demo(progress))
