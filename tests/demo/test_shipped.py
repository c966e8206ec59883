"""The study that is shipped: small, whole, of text that may be shipped, and made by the preset `demo`."""

from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from cratelm.artifacts import MANIFEST, STUDY, as_plain, open_artifact, read_json
from cratelm.corpus.packaged import PACKAGED
from cratelm.demo.pack import NOTICE
from cratelm.demo.unpack import ARCHIVE, GROWTH, unpack_demo
from cratelm.interface.loaded_model import of_study
from cratelm.presets import preset
from cratelm.progress import Progress
from cratelm.records.one_unit import read_groups
from cratelm.units.read import read_units
from cratelm.viewer.viewed_study import Study
from tests.viewer.test_why_server import excerpt_of, recorded
from tests.viewer.viewing import client_of

ROOT = Path(__file__).parents[2]
MOST = 12_000_000
"""Bytes in the wheel."""
SHIPPED = files("cratelm.demo")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, quiet: Progress) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return unpack_demo(quiet)


def test_it_takes_less_than_12_mb_and_no_more_room_than_is_asked_for(demo: Path) -> None:
    packed = (SHIPPED / ARCHIVE).stat().st_size  # type: ignore[missing-attribute]
    unpacked = sum(path.stat().st_size for path in demo.rglob("*") if path.is_file())
    assert packed < MOST and unpacked < GROWTH * packed


def test_every_manifest_is_true(demo: Path) -> None:
    manifests = list(demo.rglob(MANIFEST))
    for manifest in manifests:
        open_artifact(manifest.parent, read_json(manifest)["stage"])
    assert len(manifests) == 10  # models, records, explanations and scores of both; the tokens and the report


def test_it_is_what_the_preset_makes(demo: Path) -> None:
    assert read_json(demo / STUDY) == as_plain(preset("demo"))


def test_the_notices_name_every_source_of_its_text_with_its_licence(demo: Path) -> None:
    corpus = PACKAGED[preset("demo").corpus.corpus]
    notice = (demo / NOTICE).read_text(encoding="utf-8")
    assert notice == (SHIPPED / NOTICE).read_text(encoding="utf-8")
    notices = (ROOT / "THIRD_PARTY_NOTICES.md").read_text(encoding="utf-8")
    for requirement, _ in corpus.parts:
        name, _, version = requirement.partition("==")
        assert f"{name} {version}" in notice and f"{name} {version}" in notices
        try:
            licences = [file for file in distribution(name).files or () if "LICENSE" in file.name.upper()]
        except PackageNotFoundError:
            pytest.skip(f"{name} is not installed: its licence cannot be compared")
        assert licences and all(Path(str(file.locate())).read_text(encoding="utf-8") in notice for file in licences)


def test_no_film_review_is_in_it(demo: Path) -> None:
    assert read_json(demo / STUDY)["corpus"]["corpus"] == "python-source"
    inputs = {read_json(path)["inputs"]["tokens"] for path in demo.glob(f"models/*/{MANIFEST}")}
    assert len(inputs) == 1 and not [*(demo / "tokens").glob("train*")]


@pytest.mark.parametrize("model", ["crate", "gpt2"])
def test_why_a_unit_fired_on_an_excerpt_and_what_feeds_it_can_be_asked(demo: Path, model: str) -> None:
    client = client_of(demo)
    one, at = excerpt_of(client, model)
    found = client.post("/api/try/why", json=recorded(one, at, model=model)).json()
    assert found["target"]["activation"] == pytest.approx(one["activations"][at], rel=2e-2)
    assert client.get(f"/api/{model}/1/3/connections").json()["fed_by"]


@pytest.mark.parametrize("model", ["crate", "gpt2"])
def test_weights_are_stored_in_16_bits(model: str, demo: Path) -> None:
    with safe_open(demo / "models" / model / "model" / "model.safetensors", "np") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"BF16"}  # noqa: SIM118


@pytest.mark.slow
@pytest.mark.parametrize("name", ["crate", "gpt2"])
def test_the_models_do_on_the_excerpts_that_begin_a_context_what_was_recorded(name: str, demo: Path) -> None:
    viewed = Study(demo).models[name]
    model = of_study(viewed)
    compared = 0
    for layer, site in enumerate(viewed.sites):
        for group in read_groups(viewed.records, layer, range(0, site.units, 32)):
            first = np.flatnonzero(group.excerpts.place == 0) if group.length == viewed.protocol.long else []
            for row in first:
                tokens = np.r_[model.tokenizer.bos_token_id, group.excerpts.tokens[row].astype(np.int64)]
                seen = read_units(model.network, model.sites, tokens)
                unit, recorded = group.excerpts.unit[row], group.excerpts.activations[row]
                np.testing.assert_allclose(seen[layer][:, unit], recorded, rtol=0.01, atol=1e-4)
                compared += 1
    assert compared > 20
