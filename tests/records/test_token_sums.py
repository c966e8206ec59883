"""Sums on each token: the same whatever fits in memory, and a row a token in the file where all of them fit."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cratelm.records.token_sums import VALUES, TokenSums, TokenSumsFile, batch_keys, group_keys

UNITS = 5
KEYS = 60


@pytest.fixture
def text() -> list[tuple[np.ndarray, np.ndarray]]:
    """Batches of keys (contexts, T), most of them rare, and activations (contexts, T, units)."""
    generator = np.random.default_rng(0)
    frequency = 1 / np.arange(1, KEYS + 1)
    batches = [generator.choice(KEYS, (4, 16), p=frequency / frequency.sum()) for _ in range(7)]
    return [(keys, generator.random((*keys.shape, UNITS), dtype=np.float32)) for keys in batches]


def sums_of(text: list[tuple[np.ndarray, np.ndarray]], path: Path, most: int) -> np.ndarray:
    """What is read of the file that TokenSums writes with at most `most` keys in memory: (KEYS, units)."""
    groups, table = group_keys([keys for keys, _ in text], most), TokenSums(path, UNITS)
    for (keys, activations), group in zip(text, groups, strict=True):
        table.see(batch_keys(keys, group), torch.from_numpy(activations).flatten(0, 1))
    table.close()
    sums = np.zeros((KEYS, UNITS))
    for some in np.array_split(np.arange(KEYS), 4):
        TokenSumsFile(path, UNITS).add_to(sums[some[0] : some[-1] + 1], some)
    return sums


@pytest.mark.parametrize("most", [0, 20, 45, KEYS])
def test_sums_do_not_depend_on_what_fits_in_memory(text, tmp_path: Path, most: int) -> None:
    expected = np.zeros((KEYS, UNITS))
    for keys, activations in text:
        np.add.at(expected, keys, activations)
    np.testing.assert_allclose(sums_of(text, tmp_path / "table", most), expected, rtol=1e-6)


@pytest.mark.parametrize(("most", "rows"), [(0, "batch"), (KEYS, "text")])
def test_a_file_has_a_row_for_each_key_of_all_text_that_fits_and_of_each_batch_that_does_not(
    text, tmp_path: Path, most: int, rows: str
) -> None:
    sums_of(text, tmp_path / "table", most)
    each = [np.unique(keys) for keys, _ in text]
    expected = sum(map(len, each)) if rows == "batch" else len(np.unique(np.concatenate(each)))
    assert (tmp_path / f"table{VALUES}").stat().st_size == 4 * expected
    assert (tmp_path / "table").stat().st_size == 4 * expected * UNITS


def test_groups_of_batches_hold_all_their_keys_and_at_most_so_many(text) -> None:
    batches = [keys for keys, _ in text]
    groups = group_keys(batches, 45)
    assert all(np.isin(keys, group).all() for keys, group in zip(batches, groups, strict=True))
    assert max(map(len, groups)) <= 45 < len(np.unique(np.concatenate(batches)))
    assert len({id(group) for group in groups}) < len(batches)
    assert all(np.array_equal(group, np.unique(group)) for group in groups)
