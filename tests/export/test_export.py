"""Exported records are read by the other projects' own code, in environments of their own."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cratelm.artifacts import Artifact, open_artifact
from cratelm.cli import run
from cratelm.corpus.read_tokens import read_tokenizer
from cratelm.corpus.token_text import token_texts
from cratelm.export.neuronpedia import interval_shares
from cratelm.export.numbers import rounded
from cratelm.records.store import read_excerpts, read_units
from tests.foreign import environment

UNITS = (0, 31, 32, 63)

NEURON_RECORDS = """
import dataclasses, json, sys
from neuron_explainer.activations.activations import ActivationRecordSliceParams, load_neuron

folder, found = sys.argv[1], []
for unit in json.loads(sys.argv[2]):
    record = load_neuron(1, unit, dataset_path="file://" + folder)
    shown = record.train_activation_records(ActivationRecordSliceParams(n_examples_per_split=1))
    found.append(dataclasses.asdict(record) | {"shown": [dataclasses.asdict(one) for one in shown]})
print(json.dumps(found))
"""

DASHBOARDS = """
import json, sys
from pathlib import Path
from sae_dashboard.neuronpedia.neuronpedia_dashboard import NeuronpediaDashboardBatch

folder = Path(sys.argv[1])
batches = sorted(folder.glob("batch-*.json"), key=lambda path: int(path.stem[6:]))
print(json.dumps([NeuronpediaDashboardBatch(**json.loads(path.read_text())).to_dict() for path in batches]))
"""


def exported(study: Path, name: str, out: Path) -> Path:
    """The records of the study's CRATE in a format."""
    assert run(["export", str(study / "records" / "crate"), "--format", name, "--out", str(out)]) == 0
    return out


def said_by(python: Path, code: str, *arguments: str):
    """What a program prints as JSON."""
    result = subprocess.run([python, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def records(study) -> Artifact:
    return open_artifact(study / "records" / "crate", "records")


@pytest.mark.foreign
def test_openais_package_reads_neuron_records(study, records, request, tmp_path) -> None:
    python = environment(request.config, "automated-interpretability==0.0.24")
    folder = exported(study, "neuron-record", tmp_path / "out") / "collated-activations"
    found = said_by(python, NEURON_RECORDS, str(folder), json.dumps(UNITS))
    assert sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*")) == sorted(
        f"{layer}/{unit}.json" for layer in range(2) for unit in range(64)
    )
    texts, statistics = token_texts(read_tokenizer(records)), read_units(records, 1, "explain")
    for unit, record in zip(UNITS, found, strict=True):
        assert (record["neuron_id"]["layer_index"], record["neuron_id"]["neuron_index"]) == (1, unit)
        for kind, key in (("top", "most_positive_activation_records"), ("random", "random_sample")):
            expected = read_excerpts(records, 1, "explain", kind, [unit])
            assert len(record[key]) == len(expected.unit)
            for row, excerpt in enumerate(record[key]):
                assert excerpt["activations"] == expected.activations[row].tolist()
                assert excerpt["tokens"] == [texts[token] for token in expected.tokens[row]]
        peaks = [max(excerpt["activations"]) for excerpt in record["most_positive_activation_records"]]
        assert peaks == sorted(peaks, reverse=True)
        assert record["mean"] == statistics["mean"][unit]
        assert record["shown"][0]["activations"] == record["most_positive_activation_records"][0]["activations"]


@pytest.mark.foreign
def test_saedashboards_classes_read_the_batches(study, records, request, tmp_path) -> None:
    # Its whole requirements are gigabytes; the classes that Neuronpedia's importer reads batches by need numpy alone.
    python = environment(request.config, "sae-dashboard==0.8.0", "numpy", "--no-deps")
    folder = exported(study, "neuronpedia", tmp_path / "out") / "1"
    batches = said_by(python, DASHBOARDS, str(folder))
    written = [json.loads((folder / f"batch-{number}.json").read_text()) for number in range(len(batches))]
    assert batches == written
    features = {feature["feature_index"]: feature for batch in batches for feature in batch["features"]}
    skipped = json.loads((folder / "skipped_indexes.json").read_text())
    assert sorted([*features, *skipped["skipped_indexes"]]) == list(range(64))
    assert (batches[0]["model_id"], batches[0]["layer"], batches[0]["sae_set"]) == ("crate", 1, "coding-code")
    statistics = read_units(records, 1, "explain")
    for unit, feature in features.items():
        assert feature["frac_nonzero"] == statistics["firing_rate"][unit]
        top = [group for group in feature["activations"] if group["bin_min"] == -1]
        expected = read_excerpts(records, 1, "explain", "top", [unit])
        np.testing.assert_allclose([group["values"] for group in top], expected.activations, rtol=6e-5)
        for group in feature["activations"]:
            peak = max(group["values"])
            assert group["values"][group["qualifying_token_index"]] == peak
            assert group["bin_min"] - 1e-4 * peak <= peak <= group["bin_max"] + 1e-4 * peak
        intervals = read_excerpts(records, 1, "explain", "interval", [unit], 9)
        assert len(feature["activations"]) == len(top) + len(intervals.unit)


@pytest.mark.parametrize("value", [1.2345678e-9, -0.00012345678, 12345678.9, 0.1, 3.4e38])
def test_exported_numbers_keep_five_significant_digits_at_every_size(value) -> None:
    assert rounded(value) == pytest.approx(value, rel=5e-5)
    assert len(repr(rounded(value)).partition("e")[0].strip("-0.").replace(".", "").strip("0")) <= 5
    assert rounded(0.0) == 0


def test_interval_shares_are_those_of_the_histogram() -> None:
    activations = np.random.default_rng(0).exponential(size=100_000) * (np.arange(100_000) % 4 == 0)
    histogram = np.histogram(activations[activations > 0], 240, (0, activations.max()))[0]
    bounds = np.linspace(0, activations.max(), 13)
    expected = np.histogram(activations[activations > 0], bounds)[0] / len(activations)
    np.testing.assert_allclose(interval_shares(histogram, (activations > 0).mean()), expected, atol=1e-9)
    assert interval_shares(np.zeros(40), 0.0).tolist() == [0] * 12


def test_a_format_or_half_that_there_is_not_is_refused(study, tmp_path, capsys) -> None:
    arguments = ["export", str(study / "records" / "crate"), "--out", str(tmp_path / "out")]
    assert run([*arguments, "--format", "csv"]) == 2
    assert "neuron-record" in capsys.readouterr().err
    assert run([*arguments, "--format", "neuronpedia", "--half", "test"]) == 2
    assert "the recording has explain and score" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()
