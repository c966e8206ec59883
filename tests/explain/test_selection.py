"""Which excerpts are shown and scored, on a store of known rows; the two protocols side by side."""

import numpy as np
import pytest

from cratelm.explain import selection
from cratelm.explain.selection import select, slots
from cratelm.protocols import PROTOCOLS, Draw
from cratelm.records.excerpts import Excerpts


def rows(kind: str, length: int, starts: list[int], intervals: list[int] | None = None) -> Excerpts:
    """Excerpts of unit 3 that start at these places, in the order of their ranks."""
    count = len(starts)
    intervals = intervals or [-1] * count
    rank = [intervals[:k].count(interval) for k, interval in enumerate(intervals)]
    return Excerpts(
        unit=np.full(count, 3),
        rank=np.array(rank),
        interval=np.array(intervals),
        document=np.arange(count),
        start=np.array(starts),
        place=np.array(starts) % 64,
        tokens=np.array(starts)[:, None] + np.arange(length),
        activations=np.ones((count, length), np.float32),
    )


@pytest.fixture
def store(monkeypatch):
    """A store in which some excerpts stand in several draws."""
    kept = {
        ("top", 9): rows("top", 9, list(range(0, 180, 9))),
        ("interval", 9): rows("interval", 9, [0, 900, 909, 918, 927], [0, 0, 0, 0, 5]),
        ("random", 9): rows("random", 9, [900, *range(1800, 1980, 9)]),
        ("other", 9): rows("other", 9, list(range(1800, 2400, 9))),
        ("top", 64): rows("top", 64, list(range(0, 1280, 64))),
        ("random", 64): rows("random", 64, [64, 5120, 5184, 5248, 5312, 5376, 5440]),
        ("top", 8): rows("top", 8, list(range(50))),
        ("random", 8): rows("random", 8, list(range(100, 150))),
        ("interval", 8): rows("interval", 8, list(range(200, 244)), [k // 4 for k in range(44)]),
    }
    monkeypatch.setattr(
        selection, "read_excerpts", lambda records, layer, half, kind, units, length: kept[kind, length]
    )
    return


def starts(draws, once: bool) -> list[list[int]]:
    return [part.start.tolist() for part in select(None, 0, "score", draws, once)]


def test_an_excerpt_is_drawn_once_and_the_next_one_fills_its_place(store) -> None:
    top, interval, random, other = starts(PROTOCOLS["strict"].scored["anthropic"], True)
    assert top == [0, 9, 18, 27, 36, 45]
    assert interval == [900, 909, 927]  # 0 is a top one already; the second interval holds one alone
    assert random == [1800, 1809, 1818, 1827, 1836, 1845, 1854, 1863, 1872, 1881]
    assert other == list(range(1890, 1890 + 20 * 9, 9))


def test_top_and_random_share_no_excerpt(store) -> None:
    top, random = starts(PROTOCOLS["strict"].scored["top-and-random"], True)
    assert top == [0, 64, 128, 192, 256]
    assert random == [5120, 5184, 5248, 5312, 5376]


def test_the_papers_protocol_interleaves_ranks_of_neighbouring_windows(store) -> None:
    """The published split: even ranks are shown, odd ones scored, and windows one token apart are on both sides."""
    (shown,) = starts(PROTOCOLS["paper"].shown["openai"], False)
    random, scored = starts(PROTOCOLS["paper"].scored["top-and-random"], False)
    assert shown == [0, 128, 256, 384, 512]
    assert scored == [64, 192, 320, 448, 576]
    assert random == [64, 5184, 5312, 5440]  # and 64 stands in both


def test_the_papers_other_contexts_are_the_middles_of_top_excerpts(store) -> None:
    parts = select(None, 0, "text", PROTOCOLS["paper"].scored["anthropic"], False)
    assert [len(part.start) for part in parts] == [10, 22, 5, 10]
    assert parts[3].tokens.shape == (10, 3)
    assert parts[3].tokens[0].tolist() == [25 + 3, 25 + 4, 25 + 5]
    shown = select(None, 0, "text", PROTOCOLS["paper"].shown["anthropic"], False)
    assert [len(part.start) for part in shown] == [15, 22, 5]
    assert not set(shown[1].start) & set(parts[1].start)


def test_every_excerpt_has_a_slot_of_its_own() -> None:
    one, other = rows("top", 9, [1, 2, 3]), rows("random", 9, [4, 5])
    assert [part.tolist() for part in slots([one, other])] == [[0, 1, 2], [3, 4]]


def test_no_metric_of_the_strict_protocol_shows_what_it_scores() -> None:
    strict = PROTOCOLS["strict"]
    assert strict.explained_on != strict.scored_on
    assert PROTOCOLS["paper"].explained_on == PROTOCOLS["paper"].scored_on
    assert {draw.length for draws in strict.scored.values() for draw in draws} == {64, 9}
    assert all(isinstance(draw, Draw) for draws in strict.shown.values() for draw in draws)
