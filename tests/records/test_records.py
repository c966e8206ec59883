"""Records are exact: compared with keeping everything and sorting."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import save_file

from cratelm.artifacts import Artifact, open_artifact
from cratelm.protocols import LONG, SHORT
from cratelm.records import pass2_excerpts as second_pass
from cratelm.records.hash_sampling import draw_pool, priorities
from cratelm.records.record import record
from cratelm.records.recording import Recording
from cratelm.records.store import read_excerpts, read_layers, read_tables, read_units
from cratelm.seeds import derive_seed
from tests.shared import Shared


@pytest.fixture(scope="module", params=["crate", "gpt2"])
def recorded(request, study: Path, small_study, tokens: Artifact, shared: Shared, quiet) -> tuple[Artifact, Artifact]:
    """A model of the study, and records of it whose batches were all cut."""
    model = open_artifact(study / "models" / request.param, "model")

    def make(out: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(second_pass, "AT_ONCE", 10_000)
            record(small_study.records, model, tokens, out / "records", quiet)

    return model, open_artifact(shared.folder(f"cut-records-{request.param}", make) / "records", "records")


class Everything:
    """All activations of one half, kept: the brute-force reference, in the batches that the records used."""

    def __init__(self, records: Artifact, model: Artifact, tokens: Artifact, config, name: str, layer: int):
        recording = Recording(config, model.path / "model", tokens)
        self.config, self.half = config, recording.halves[name]
        self.site = recording.sites[layer]
        contexts = self.half.contexts
        kept: list[np.ndarray] = [np.empty(0)] * len(contexts.start)
        for shard in recording.shards:
            if shard.half.name == name:

                def see(batch: np.ndarray, at: int, x: torch.Tensor) -> None:
                    if at == layer:
                        for row, context in enumerate(batch):
                            kept[context] = x[row].numpy().copy()

                recording.run(shard, see, lambda: None)
        self.activations = np.concatenate(kept)  # (tokens, units)
        self.tokens = np.concatenate(
            [self.half.side.tokens[a : a + n] for a, n in zip(contexts.start, contexts.length, strict=True)]
        ).astype(np.int64)

        def tiles(length: int) -> np.ndarray:
            return np.concatenate([x[: len(x) // length * length].reshape(-1, length, x.shape[1]) for x in kept])

        self.excerpts = {length: tiles(length) for length in (LONG, SHORT)}  # (excerpts, length, units)

    def top(self, length: int, unit: int, count: int) -> list[int]:
        """The excerpts with the highest maxima, one of a group of near-duplicates, ties to the earlier."""
        maxima, best, seen = self.excerpts[length][:, :, unit].max(1), [], set()
        documents = self.half.side.group[self.half.tilings[length].document_of(np.arange(len(maxima)))]
        for excerpt in np.lexsort((np.arange(len(maxima)), -maxima)):
            if maxima[excerpt] > 0 and documents[excerpt] not in seen and len(best) < count:
                seen.add(documents[excerpt])
                best.append(int(excerpt))
        return best

    def distinct_top(self, length: int, unit: int, count: int) -> list[int]:
        """Of the 50 best, those that do not repeat the eight tokens up to the peak of a better one."""
        tiling, found, seen = self.half.tilings[length], [], set()
        for excerpt in self.top(length, unit, 50):
            peak = int(self.excerpts[length][excerpt, :, unit].argmax())
            end = int(tiling.start_of(np.array(excerpt))) + peak
            whole = int(tiling.place_of(np.array(excerpt))) + peak >= 7
            passage = tuple(self.half.side.tokens[end - 7 : end + 1]) if whole else excerpt
            if passage not in seen:
                seen.add(passage)
                found.append(excerpt)
        return found[:count]

    def lowest(self, unit: int, allowed: np.ndarray, count: int) -> list[int]:
        """Those of the allowed excerpts that are drawn first."""
        own = priorities(np.array([unit]), derive_seed(self.config.seed, "rotations", self.half.name, self.site.name))
        order = priorities(allowed, derive_seed(self.config.seed, "priorities", self.half.name)) + own
        return allowed[np.argsort(order, kind="stable")][:count].tolist()


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("name", ["explain", "score"])
def test_records_equal_keeping_everything(recorded, tokens, small_study, layer, name) -> None:
    model, records = recorded
    config = small_study.records
    explain = Everything(records, model, tokens, config, "explain", layer)
    every = explain if name == "explain" else Everything(records, model, tokens, config, name, layer)
    statistics = read_units(records, layer, name)
    np.testing.assert_array_equal(statistics["maximum"], every.activations.max(0))
    np.testing.assert_allclose(statistics["mean"], every.activations.mean(0, dtype=np.float64), rtol=1e-9)
    np.testing.assert_array_equal(statistics["firing_rate"], (every.activations > 0).mean(0))
    assert statistics["finite"].all()
    stored = {
        (length, kind): read_excerpts(records, layer, name, kind, excerpt=length)
        for length, kinds in ((LONG, ("top", "random")), (SHORT, ("top", "random", "interval", "other")))
        for kind in kinds
    }
    by_start = {
        length: {start: k for k, start in enumerate(tiling.start_of(np.arange(tiling.count)).tolist())}
        for length, tiling in every.half.tilings.items()
    }
    for (length, _), found in stored.items():
        excerpt = np.array([by_start[length][start] for start in found.start])
        tiling = every.half.tilings[length]
        assert np.array_equal(found.tokens, tiling.tokens_of(excerpt))
        assert np.array_equal(found.document, tiling.document_of(excerpt))
        assert np.array_equal(found.activations, every.excerpts[length][excerpt, :, found.unit])
    for unit in range(0, every.activations.shape[1], 7):
        mine = {
            key: [by_start[key[0]][start] for start in found.start[found.unit == unit]] for key, found in stored.items()
        }
        for length in (LONG, SHORT):
            assert mine[length, "top"] == every.distinct_top(length, unit, config.top)
        assert len(mine[LONG, "random"]) == len(set(mine[LONG, "random"])) == config.random
        assert len(mine[SHORT, "random"]) == len(set(mine[SHORT, "random"])) == config.short_random
        near = every.top(SHORT, unit, 50)
        maxima, highest = (
            every.excerpts[SHORT][:, :, unit].max(1).astype(np.float64),
            explain.activations[:, unit].max(),
        )
        expected = []
        for interval in range(12):
            above = maxima * 12 > interval * np.float64(highest)
            below = (maxima * 12 <= (interval + 1) * np.float64(highest)) | (interval == 11)
            allowed = np.setdiff1d(np.flatnonzero(above & below & (highest > 0)), near[:10])
            expected += every.lowest(unit, allowed, config.interval)
        assert mine[SHORT, "interval"] == expected
        best = explain.top(SHORT, unit, 10)
        held = explain.half.tilings[SHORT].tokens_of(np.array(best, dtype=np.int64))
        peaks = held[np.arange(len(best)), explain.excerpts[SHORT][best, :, unit].argmax(1)]
        holds = np.isin(every.half.tilings[SHORT].tokens_of(np.arange(len(maxima))), peaks).any(1)
        assert mine[SHORT, "other"] == every.lowest(unit, np.setdiff1d(np.flatnonzero(holds), near), config.other)


def test_an_excerpts_highest_activation_is_the_units_maximum_to_the_last_bit(recorded) -> None:
    records = recorded[1]
    for layer, units in enumerate(read_layers(records)):
        top = read_excerpts(records, layer, "score", "top")
        first = top.where(top.rank == 0)
        found = np.zeros(units)
        found[first.unit] = first.activations.max(1)
        assert np.array_equal(found, read_units(records, layer, "score")["maximum"])


def test_the_histogram_counts_what_fires_in_the_pool(recorded, tokens, small_study) -> None:
    model, records = recorded
    every = Everything(records, model, tokens, small_study.records, "score", 0)
    pool = draw_pool(len(every.excerpts[LONG]), small_study.records.pool, small_study.records.seed, "score", LONG)
    values = every.excerpts[LONG][pool].reshape(-1, every.activations.shape[1])
    histogram = read_units(records, 0, "score")["histogram"]
    assert np.array_equal(histogram.sum(1), (values > 0).sum(0))
    edges = np.linspace(0, every.activations[:, 3].max(), small_study.records.histogram + 1)
    assert np.array_equal(histogram[3], np.histogram(values[values[:, 3] > 0, 3], edges)[0])


@pytest.mark.parametrize("half", ["explain", "score"])
def test_full_tables_hold_the_mean_of_every_token(recorded, tokens, small_study, half: str) -> None:
    model, records = recorded
    every = Everything(records, model, tokens, small_study.records, half, 0)
    stored = read_tables(records, 0, half)
    assert np.array_equal(stored["tokens"], np.unique(every.tokens))
    for place, token in list(enumerate(stored["tokens"]))[::5]:
        here = every.tokens == token
        assert stored["counts"][place] == here.sum()
        expected = every.activations[here][:, stored["units"]].mean(0, dtype=np.float64)
        np.testing.assert_allclose(stored["means"][:, place], expected, rtol=1e-6, atol=1e-12)


def test_tables_of_before_which_hold_every_token_are_read_as_those_that_occur(tmp_path: Path) -> None:
    means = np.array([[1.0, 0.0, 2.0, 0.0], [3.0, 0.0, 4.0, 0.0]], np.float32)
    before = {"units": np.array([1, 5]), "means": means, "counts": np.array([2, 0, 7, 0])}
    save_file(before, tmp_path / "tables-score-0.safetensors")
    stored = read_tables(Artifact(tmp_path, {}), 0, "score")
    assert stored["tokens"].tolist() == [0, 2]
    assert stored["counts"].tolist() == [2, 7]
    assert stored["means"].tolist() == [[1, 2], [3, 4]]


def test_shares_are_the_covariance_of_means_between_two_parts_of_the_documents(recorded, tokens, small_study) -> None:
    model, records = recorded
    every = Everything(records, model, tokens, small_study.records, "explain", 1)
    contexts = every.half.contexts
    context = np.repeat(np.arange(len(contexts.start)), contexts.length)
    groups = np.unique(every.half.side.group[contexts.document], return_inverse=True)[1]
    part = (groups % 2)[context]
    place = np.concatenate([np.arange(length) for length in contexts.length])
    found = read_units(records, 1, "explain")
    units = read_tables(records, 1, "explain")["units"]
    for name, value in (("token_share", every.tokens), ("position_share", place)):
        x = every.activations[:, units].astype(np.float64)
        covariance = np.zeros(len(units))
        for one in np.unique(value):
            first, second = (x[(value == one) & (part == p)] for p in (0, 1))
            if len(first) and len(second):
                means = first.mean(0) - x[part == 0].mean(0), second.mean(0) - x[part == 1].mean(0)
                covariance += (len(first) + len(second)) / len(x) * means[0] * means[1]
        np.testing.assert_allclose(found[name][units], covariance / x.var(0), rtol=1e-4, atol=1e-6)
        assert np.isnan(np.delete(found[name], units)).all()


def test_one_unit_can_be_read_alone(recorded) -> None:
    records = recorded[1]
    everything = read_excerpts(records, 1, "score", "random")
    alone = read_excerpts(records, 1, "score", "random", [5])
    expected = everything.where(everything.unit == 5)
    assert np.array_equal(alone.activations, expected.activations)
    assert np.array_equal(alone.tokens, expected.tokens)


def test_any_cut_into_shards_keeps_the_same_excerpts(recorded, tokens, small_study, tmp_path, quiet) -> None:
    model, records = recorded
    again = record(dataclasses.replace(small_study.records, shard=1500), model, tokens, tmp_path / "again", quiet)
    for layer in range(2):
        name = f"layer-{layer}.parquet"
        assert pq.read_table(again.path / name).equals(pq.read_table(records.path / name))
        for column, values in read_units(records, layer, "explain").items():
            # A shard's sums on each token are kept as float32, as those of a batch are.
            close = 1e-6 if column == "token_share" else 1e-9
            np.testing.assert_allclose(read_units(again, layer, "explain")[column], values, rtol=close)
