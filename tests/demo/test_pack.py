"""A packed study is the same study for whoever looks at it, and says what it lacks to whoever would measure more."""

import hashlib
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import cratelm
from cratelm.artifacts import MANIFEST, open_artifact, read_json
from cratelm.cli import run
from cratelm.demo.pack import pack, to_bfloat16
from cratelm.records.one_unit import read_groups
from cratelm.viewer.unit_document import unit_document
from cratelm.viewer.viewed_study import Study
from tests.viewer.viewing import WITH_ERROR, client_of


@pytest.fixture(scope="module")
def packed(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unpacked") / "study"
    with tarfile.open(archive) as file:
        file.extractall(out, filter="data")
    return out


def stages(study: Path) -> list[Path]:
    return sorted(manifest.parent for manifest in study.rglob(MANIFEST))


def test_every_file_of_a_packed_study_is_in_a_manifest_that_is_true(packed: Path) -> None:
    listed = set()
    for folder in stages(packed):
        artifact = open_artifact(folder, read_json(folder / MANIFEST)["stage"])  # checks every hash
        listed |= {folder / name for name in artifact.manifest["outputs"]} | {folder / MANIFEST}
    held = {path for path in packed.rglob("*") if path.is_file()}
    assert held - listed == {packed / "study.json", packed / "NOTICE.txt"}


def test_every_input_that_is_packed_too_is_named_by_its_new_hash(study: Path, packed: Path) -> None:
    was = {hashlib.sha256((study / folder.relative_to(packed) / MANIFEST).read_bytes()).hexdigest(): folder
           for folder in stages(packed)}  # fmt: skip
    checked = 0
    for folder in stages(packed):
        before = read_json(study / folder.relative_to(packed) / MANIFEST)["inputs"]
        for name, sha256 in read_json(folder / MANIFEST)["inputs"].items():
            source = was.get(before[name])
            expected = source and hashlib.sha256((source / MANIFEST).read_bytes()).hexdigest()
            assert sha256 == (expected or before[name])
            checked += expected is not None
    assert checked >= 8  # of each model: records; explanations; scores from both; the report


def test_the_same_study_gives_the_same_bytes(study: Path, archive: Path, tmp_path: Path) -> None:
    pack(study, tmp_path / "again.tar.xz")
    assert (tmp_path / "again.tar.xz").read_bytes() == archive.read_bytes()


def test_the_models_before_training_the_text_of_the_training_and_the_tables_are_left_out(packed: Path) -> None:
    assert {path.name for path in (packed / "models").iterdir()} == {"crate", "gpt2"}
    text = {path.name.partition(".")[0] for path in (packed / "tokens").iterdir()}
    assert text == {"explain", "score", "counts", "tokenizer", "manifest"}
    large = ("tables-", "ngrams-", "text-explain", "text-score-", "table-full", "replicates-")
    assert not [path for path in packed.rglob("*") if path.name.startswith(large)]


def test_a_unit_is_shown_as_in_the_study_but_for_its_activations_rounding(study: Path, packed: Path) -> None:
    for model in ("crate", "gpt2"):
        whole, small = (unit_document(Study(folder).models[model], 1, 3) for folder in (study, packed))
        for one, other in zip(whole.pop("excerpts"), small.pop("excerpts"), strict=True):
            assert np.allclose(one.pop("activations"), other.pop("activations"), rtol=0.02)  # shown in three digits
            for explainer, expected in one.pop("simulated").items():
                assert np.allclose(expected, other["simulated"][explainer], rtol=0.02, atol=0.01)
            other.pop("simulated"), one.pop("correlation"), other.pop("correlation")
            assert one == other
        assert whole == small


def test_recorded_activations_are_those_of_the_study_rounded_to_bfloat16(study: Path, packed: Path) -> None:
    for layer in (0, 1):
        groups = [read_groups(Study(folder).models["crate"].records, layer, range(64)) for folder in (study, packed)]
        for one, other in zip(*groups, strict=True):
            expected = torch.from_numpy(one.excerpts.activations.copy()).bfloat16().float().numpy()
            np.testing.assert_allclose(other.excerpts.activations, expected, rtol=2**-7)
            assert (other.excerpts.activations > 0).tolist() == (one.excerpts.activations > 0).tolist()


@given(st.floats(0, 2**99, width=32))
def test_rounding_to_bfloat16_is_off_by_half_a_step_at_most(value: float) -> None:
    number = np.array([value], np.float32)
    rounded = to_bfloat16(number)
    assert torch.from_numpy(rounded).bfloat16().float().numpy() == rounded
    assert abs(float(rounded[0]) - float(number[0])) <= max(float(number[0]) * 2**-8, 2**-134)


def test_all_that_looks_at_a_study_works_on_a_packed_one(packed: Path, tmp_path: Path, capsys) -> None:
    assert run(["show", str(packed), "crate/1/3"]) == 0
    model = str(packed / "models/crate")
    assert run(["why", model, "1/3", "--text", "the film was good"]) == 0
    assert run(["steer", model, "1/3=5", "--prompt", "the film"]) == 0
    assert run(["view", str(packed), "--export", str(tmp_path / "pages")]) == 0
    opened = cratelm.OpenedStudy(packed)
    assert len(opened.scores) and opened.comparison["rows"]
    assert opened.unit("gpt2/1/3").excerpts("top")
    assert "1/3" in str(opened.model("crate").why("1/3", "the film was good"))


def test_texts_and_explanations_are_tried_on_a_packed_study(packed: Path) -> None:
    client = client_of(packed)
    found = client.post("/api/try/fire", json={"model": "crate", "text": None, "layer": 1, "unit": 3})
    assert found.status_code == 200 and found.json()["chosen"]["activations"]
    clamping = {"model": "crate", "text": "the film", "clamps": ["1/3=5"], "new_tokens": 4} | WITH_ERROR
    assert client.post("/api/try/steer", json=clamping).status_code == 200
    mine = client.post("/api/try/explain", json={"model": "crate", "layer": 1, "unit": 3, "words": "film"})
    assert mine.status_code == 200 and mine.json()["scores"]


@pytest.mark.parametrize(
    "command",
    [
        ["explain", "records/crate"],
        ["score", "records/crate", "--explanations", "explanations/crate"],
        ["export", "records/crate", "--format", "neuron-record"],
        ["effects", "models/crate", "--records", "records/crate", "--explanations", "explanations/crate"],
    ],
    ids=lambda command: command[0],
)
def test_what_would_be_made_of_a_packed_study_is_refused_in_one_line(
    command: list[str], packed: Path, tmp_path: Path, capsys
) -> None:
    paths = [str(packed / part) if "/" in part else part for part in command]
    assert run([*paths, "--out", str(tmp_path / "made")]) == 2
    said = capsys.readouterr().err.strip()
    assert "packed study" in said and "cratelm study --preset demo" in said and "\n" not in said
    assert not (tmp_path / "made").exists()


def test_a_study_that_is_not_finished_is_not_packed(tmp_path: Path) -> None:
    with pytest.raises(cratelm.InputError, match=r"has no manifest\.json: cratelm did not make it"):
        pack(tmp_path, tmp_path / "out.tar.xz")
    assert not (tmp_path / "out.tar.xz").exists()
