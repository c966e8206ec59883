"""Questions side by side: an error ends the asking."""

import time

import pytest

from cratelm.llm.threads import side_by_side


def test_after_an_error_nothing_more_is_asked() -> None:
    asked = []

    def ask(question: int) -> int:
        asked.append(question)
        raise ValueError(question)

    with pytest.raises(ValueError, match="0"):
        next(side_by_side(ask, range(100), 1))
    time.sleep(0.05)  # in which a thread that goes on would ask the next one
    assert asked == [0]
