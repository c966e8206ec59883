"""One display of progress while something runs: ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging

from cratelm.progress import Progress


@contextmanager
def at_work() -> Iterator[Progress]:
    """Progress on stderr, without transformers' own bars."""
    with without_bars(), Progress() as progress:
        yield progress


@contextmanager
def without_bars() -> Iterator[None]:
    """While this context is open, transformers draws no bars; afterwards it does as before."""
    drawn = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            logging.enable_progress_bar()
