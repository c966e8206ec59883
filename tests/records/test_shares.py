"""Token share and position share, on units whose shares are known."""

import numpy as np
import pytest
import torch

from cratelm.corpus.read_tokens import Side
from cratelm.records.shares import (
    PARTS,
    PositionSums,
    Shares,
    paired_tokens,
    part_of_contexts,
    position_counts,
    token_counts,
)
from cratelm.records.tiling import Half, cut_half

VOCABULARY = 400
LENGTH = 128


def half_of(generator: np.random.Generator, documents: int, groups: np.ndarray | None = None) -> Half:
    """Documents of one context each, of tokens whose frequencies fall off as Zipf's."""
    frequency = 1 / np.arange(1, VOCABULARY + 1)
    tokens = generator.choice(VOCABULARY, (documents, LENGTH + 1), p=frequency / frequency.sum()).astype(np.uint16)
    ends = np.arange(1, documents + 1) * (LENGTH + 1)
    return cut_half("score", Side(tokens.ravel(), ends, groups), context=LENGTH + 1)


def token_share(half: Half, activations: np.ndarray) -> np.ndarray:
    """The share by the half's token sums; activations (contexts, T, units)."""
    text = half.side.tokens.reshape(len(activations), -1)[:, :LENGTH]
    sums = np.zeros((PARTS, VOCABULARY, activations.shape[2]))
    np.add.at(sums, (part_of_contexts(half)[:, None], text), activations)
    shares = Shares(activations.shape[2])
    for tokens in np.array_split(np.arange(VOCABULARY), 3):  # some tokens at a time, as the assembler does
        shares.see(sums[:, tokens], token_counts(half, VOCABULARY)[:, tokens])
    return shares.of(activations.var((0, 1)))


@pytest.mark.parametrize("rate", [0.3, 0.1, 0.03, 0.01, 0.003])
def test_a_token_share_is_the_true_one_however_rarely_a_unit_fires(rate: float) -> None:
    """Units fire on some tokens, by chance for each place and with noise: their shares are known in closed form."""
    generator = np.random.default_rng(0)
    half = half_of(generator, 3000)
    text = half.side.tokens.reshape(3000, -1)[:, :LENGTH]
    frequency = np.bincount(text.ravel(), minlength=VOCABULARY) / text.size
    rare_first = np.argsort(frequency)
    of_unit = rare_first[np.cumsum(frequency[rare_first]) <= max(rate, 0.004)]
    chance = min(1.0, rate / frequency[of_unit].sum())
    fires = np.isin(text, of_unit) & (generator.random(text.shape) < chance)
    activations = (fires * generator.exponential(size=text.shape))[..., None]
    mean = np.zeros(VOCABULARY)
    mean[of_unit] = chance  # an exponential's mean is 1 and its mean square 2
    second = 2 * mean @ frequency
    expected = (mean**2 @ frequency - (mean @ frequency) ** 2) / (second - (mean @ frequency) ** 2)
    assert token_share(half, activations)[0] == pytest.approx(expected, abs=0.02)


def test_a_topic_that_lasts_a_document_is_no_share_of_the_token() -> None:
    generator = np.random.default_rng(1)
    half = half_of(generator, 2000)
    of_token = generator.normal(size=VOCABULARY)[half.side.tokens.reshape(2000, -1)[:, :LENGTH]]
    of_topic = np.broadcast_to(generator.normal(size=(2000, 1)), of_token.shape)
    columns = np.stack([of_token / of_token.std(), of_topic, of_token / of_token.std() + of_topic], axis=-1)
    assert token_share(half, columns) == pytest.approx([1, 0, 0.5], abs=0.03)


def test_near_duplicates_share_a_part_so_that_what_they_have_in_common_is_no_share_of_the_token() -> None:
    groups = np.repeat(np.arange(50), 4)
    part = part_of_contexts(half_of(np.random.default_rng(2), 200, groups))
    assert (part.reshape(50, 4) == part[::4, None]).all()
    assert np.bincount(part).tolist() == [100, 100]


def test_a_position_share_is_one_for_a_function_of_the_place_and_nothing_for_the_token() -> None:
    generator = np.random.default_rng(3)
    half = half_of(generator, 600)
    of_place = np.broadcast_to(generator.normal(size=LENGTH), (600, LENGTH))
    noise = generator.normal(size=(600, LENGTH))
    activations = np.stack([of_place, noise, of_place / of_place.std() + noise], axis=-1).astype(np.float32)
    sums = PositionSums(LENGTH, 3)
    for rows in np.array_split(np.arange(600), 5):
        sums.see(part_of_contexts(half)[rows], torch.from_numpy(activations[rows]))
    shares = Shares(3)
    shares.see(sums.sums.numpy(), position_counts(half))
    assert shares.of(activations.var((0, 1), dtype=np.float64)) == pytest.approx([1, 0, 0.5], abs=0.03)


def test_one_document_has_no_share() -> None:
    half = half_of(np.random.default_rng(4), 1)
    assert np.isnan(token_share(half, np.random.default_rng(5).random((1, LENGTH, 2)))).all()


def test_in_little_text_shares_are_too_low_and_the_places_that_lack_a_pair_say_so() -> None:
    """Units that are functions of the token have a share of 1: what is found of it falls with the paired places."""
    generator = np.random.default_rng(3)
    found, paired = [], []
    for documents in (4, 12, 400):
        half = half_of(generator, documents)
        text = half.side.tokens.reshape(documents, -1)[:, :LENGTH]
        part = part_of_contexts(half)
        in_both = np.isin(text, text[part == 0]) & np.isin(text, text[part == 1])
        assert paired_tokens(half, VOCABULARY) == in_both.sum()
        of_token = generator.normal(size=(VOCABULARY, 50))[text]
        found.append(token_share(half, of_token).mean())
        paired.append(in_both.mean())
    assert found == pytest.approx(paired, abs=0.05) and found[0] < 0.9
    assert found == sorted(found) and found[-1] == pytest.approx(1, abs=0.005)
