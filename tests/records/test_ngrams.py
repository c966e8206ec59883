"""Means on n-grams: which are kept, that they are those of the text, and what smoothing does."""

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cratelm.artifacts import open_artifact
from cratelm.corpus.contexts import Contexts, context_tokens
from cratelm.corpus.read_tokens import Side
from cratelm.errors import InputError
from cratelm.explain.explainers.ngram_full import BIGRAM_FULL, TRIGRAM_FULL, NgramTables
from cratelm.models.subject import model_folder
from cratelm.records.find_ngrams import UNITS, find_ngrams, ngram_sample
from cratelm.records.ngram_sums import STRENGTHS, add_up, keys_of
from cratelm.records.ngrams import NgramMeans, Ngrams, read_ngrams
from cratelm.records.recording import Recording
from cratelm.records.shares import PARTS, part_of_contexts
from cratelm.records.tiling import Half
from cratelm.records.token_sums import TokenSums, TokenSumsFile, batch_keys
from cratelm.score.score import read_scores

VOCABULARY = 6


def half_of(texts: np.ndarray) -> Half:
    """Each text (documents, T) a document and a context."""
    documents, length = texts.shape
    ends = length * np.arange(1, documents + 1)
    side = Side(texts.ravel(), ends, np.arange(documents))
    contexts = Contexts(np.arange(documents), ends - length, np.full(documents, length), 0)
    return Half("explain", side, contexts, {})


def texts(documents: int = 60, length: int = 30, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(VOCABULARY, size=(documents, length))


def counted(half: Half) -> Counter:
    """How often each n-gram of one to three tokens occurs inside a context."""
    rows = context_tokens(half.side, half.contexts, np.arange(len(half.contexts.start))).tolist()
    return Counter(
        tuple(row[end - order : end]) for row in rows for order in (1, 2, 3) for end in range(order, len(row) + 1)
    )


def written(ngrams: Ngrams) -> list[tuple[int, ...]]:
    """Each row as its tokens, in the order of the text."""
    names: list[tuple[int, ...]] = []
    for parent, token in zip(ngrams.parent.tolist(), ngrams.token.tolist(), strict=True):
        names.append((token, *(names[parent] if parent >= 0 else ())))
    return names


def half_pairs(every: np.ndarray) -> np.ndarray:
    """The pair that ends at each place but a text's first: (texts, T - 1, 2)."""
    return np.stack([every[:, :-1], every[:, 1:]], axis=-1)


def means_of(half: Half, activations: np.ndarray, path: Path) -> NgramMeans:
    """The means of units whose activations are (contexts, T, units)."""
    ngrams = find_ngrams(half, VOCABULARY)
    every = np.arange(len(half.contexts.start))
    tokens = context_tokens(half.side, half.contexts, every)
    keys = PARTS * keys_of(ngrams, tokens) + part_of_contexts(half)[:, None]
    sums = TokenSums(path, activations.shape[-1])

    sums.see(batch_keys(keys, np.unique(keys)), torch.from_numpy(activations.astype(np.float32)).flatten(0, 1))
    sums.close()
    units = np.arange(activations.shape[-1])
    return add_up(ngrams, half, units, [TokenSumsFile(path, len(units))])


@pytest.mark.parametrize("most", [10**6, 100, 20, 0])
def test_the_n_grams_that_are_kept_are_those_above_one_count(most: int) -> None:
    half = half_of(texts())
    counts, found = counted(half), written(find_ngrams(half, VOCABULARY, most))
    longer = sorted((count for name, count in counts.items() if len(name) > 1), reverse=True)
    fewest = 2 if len(longer) <= most else longer[most] + 1
    expected = {name for name, count in counts.items() if len(name) == 1 or count >= max(fewest, 2)}
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert sum(len(name) > 1 for name in found) <= max(most, 0)


def test_the_longest_n_gram_ends_at_its_place_and_begins_inside_the_text() -> None:
    ngrams = find_ngrams(half_of(texts(8, 12)), VOCABULARY)
    names = written(ngrams)
    other = texts(5, 9, seed=1)
    for order in (1, 2, 3):
        longest = ngrams.longest(other, order)
        for row, place in np.ndindex(other.shape):
            ending = [tuple(other[row, place - size : place + 1].tolist()) for size in range(min(order, place + 1))]
            known = [name for name in ending if name in names]
            assert names[longest[row, place]] == known[-1]
    assert (ngrams.longest(np.full((1, 3), VOCABULARY)) == -1).all()


def test_means_and_counts_are_those_of_all_places_an_n_gram_ends_at(tmp_path: Path) -> None:
    half = half_of(texts())
    activations = np.random.default_rng(1).random((*texts().shape, 3))
    known = means_of(half, activations, tmp_path / "sums")
    values = defaultdict(list)
    for row, place in np.ndindex(texts().shape):
        for order in range(1, min(3, place + 1) + 1):
            values[tuple(texts()[row, place - order + 1 : place + 1].tolist())].append(activations[row, place])
    for name, count, mean in zip(written(known.ngrams), known.counts, known.means, strict=True):
        assert count == len(values[name])
        np.testing.assert_allclose(mean, np.mean(values[name], axis=0), rtol=1e-5)
    np.testing.assert_allclose(known.overall, activations.mean((0, 1)), rtol=1e-5)


def test_a_unit_of_the_last_two_tokens_is_whole_in_bigrams_and_noise_is_its_mean(tmp_path: Path) -> None:
    every = texts(200, 40)
    bigram = np.zeros(every.shape)
    bigram[:, 1:] = (every[:, 1:] == 3) & (every[:, :-1] == 1)
    noise = np.random.default_rng(2).random(every.shape)
    known = means_of(half_of(every), np.stack([bigram, noise], axis=-1), tmp_path / "sums")
    said = {order: NgramTables(known, order) for order in (1, 2, 3)}
    tokens = np.array([[1, 3, 0, 3, 1, 3]] * 2)
    found = {order: table.simulate(np.arange(2), tokens, np.zeros(2, np.int64)) for order, table in said.items()}
    np.testing.assert_allclose(found[2][0], [0, 1, 0, 0, 0, 1], atol=0.02)
    np.testing.assert_allclose(found[1][0, [1, 3]], bigram[every == 3].mean(), rtol=0.05)
    np.testing.assert_allclose(found[3][0], found[2][0], atol=0.02)
    # What varies by chance alone is drawn to its mean, whatever the number of n-grams.
    np.testing.assert_allclose(found[3][1], noise.mean(), atol=0.03)


def test_what_is_chosen_has_the_least_squared_error_between_the_parts(tmp_path: Path) -> None:
    """Against predictions written out: shrunk means of the one part, on every place of the other part."""
    every = texts(30, 20)
    half = half_of(every)
    activations = np.random.default_rng(3).random(every.shape) * (every == 2) + 0.2 * (np.roll(every, 1, 1) == 4)
    known = means_of(half, activations[..., None], tmp_path / "sums")
    part, errors = part_of_contexts(half), []
    pairs = half_pairs(every)
    for k in STRENGTHS:
        error = 0.0
        for fitted, other in ((0, 1), (1, 0)):
            mine, theirs = pairs[part == fitted], pairs[part == other]
            values, targets = activations[part == fitted][:, 1:], activations[part == other][:, 1:]
            for before, token in np.ndindex(VOCABULARY, VOCABULARY):
                own = values[(mine == (before, token)).all(-1)]
                base = activations[part == fitted][every[part == fitted] == token].mean()
                expected = (own.sum() + k * base) / (len(own) + k) if np.isfinite(k) else base
                error += ((targets[(theirs == (before, token)).all(-1)] - expected) ** 2).sum()
        errors.append(error)
    assert known.strength[0, 0] == 0
    assert known.strength[1, 0] == STRENGTHS[int(np.argmin(errors))]


def test_an_unknown_token_is_expected_to_be_like_all(tmp_path: Path) -> None:
    known = means_of(half_of(texts()), np.random.default_rng(1).random((*texts().shape, 2)), tmp_path / "sums")
    found = NgramTables(known, 2).simulate(np.array([1, 7]), np.full((2, 2), VOCABULARY + 3), np.zeros(2, np.int64))
    np.testing.assert_allclose(found, [[known.overall[1]] * 2, [0, 0]])


def test_a_study_keeps_means_of_some_units_with_a_table(study: Path, small_study) -> None:
    records = open_artifact(study / "records" / "crate", "records")
    model, tokens = open_artifact(study / "models" / "crate", "model"), open_artifact(study / "tokens", "tokens")
    recording = Recording(small_study.records, model_folder(model), tokens)
    known = read_ngrams(records, 1, recording.vocabulary)
    name = {name: row for row, name in enumerate(written(known.ngrams))}
    sums, counts = defaultdict(float), Counter()
    for shard in (shard for shard in recording.shards if shard.half.name == "explain"):

        def see(batch, layer, activations, half=shard.half) -> None:
            if layer == 1:
                for row, values in zip(
                    context_tokens(half.side, half.contexts, batch).tolist(), activations, strict=True
                ):
                    for place in range(2, len(row)):
                        ending = tuple(row[place - 2 : place + 1])
                        sums[ending] += values[place, known.units].double().numpy()
                        counts[ending] += 1

        recording.run(shard, see, lambda: None)
    triples = [triple for triple in name if len(triple) == 3]
    assert len(triples) > 100
    for triple in triples:
        assert known.counts[name[triple]] == counts[triple]
        np.testing.assert_allclose(known.means[name[triple]], sums[triple] / counts[triple], rtol=1e-4, atol=1e-6)


def test_a_study_scores_them_as_ceilings_on_the_same_units(study: Path) -> None:
    records, scores = (open_artifact(study / name / "crate", name) for name in ("records", "scores"))
    rows = read_scores(scores)
    means = {}
    for explainer in (BIGRAM_FULL, TRIGRAM_FULL):
        mine = rows["explainer"] == explainer.name
        assert set(rows["metric"][mine]) == {"top-and-random", "random-only", "anthropic", "whole-text"}
        of = mine & (rows["metric"] == "random-only") & (rows["layer"] == 1)
        assert np.array_equal(rows["unit"][of], read_ngrams(records, 1, 300).units)
        means[explainer.name] = rows["score"][of].mean()
        same = (rows["explainer"] == "table-full") & (rows["metric"] == "random-only") & (rows["layer"] == 1)
        means["table-full"] = rows["score"][same & np.isin(rows["unit"], rows["unit"][of])].mean()
    assert means["table-full"] - 0.02 < means["bigram-full"]


def test_no_more_than_so_many_units_are_averaged(small_study) -> None:
    tables = np.arange(0, 3000, 2)
    chosen = ngram_sample(small_study.records, "site", tables)
    assert len(chosen) == UNITS
    assert np.isin(chosen, tables).all()
    assert not np.array_equal(chosen, ngram_sample(replace(small_study.records, seed=9), "site", tables))
    assert not len(ngram_sample(small_study.records, "site", tables[:0]))


def test_records_of_an_earlier_version_are_said_to_lack_n_grams(study: Path, tmp_path: Path) -> None:
    records = open_artifact(study / "records" / "crate", "records")
    with pytest.raises(InputError, match=r"earlier version.*Record again"):
        read_ngrams(type(records)(tmp_path, records.manifest), 0, 300)
