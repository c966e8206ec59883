"""An export holds what the viewer shows, of the units that were asked for, and leaves nothing half done."""

import base64
import gzip
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cratelm.cli import run
from cratelm.viewer import static_pages
from cratelm.viewer.chosen_units import Choice
from cratelm.viewer.layer_document import layer_document
from cratelm.viewer.static_pages import export_page, export_study
from cratelm.viewer.unit_document import unit_document
from cratelm.viewer.viewed_study import Study


def unpacked(script: Path) -> tuple[Any, bytes]:
    """The document and the levels of an exported script, by the words of viewer/packing.py."""
    _, pack = json.loads(f"[{script.read_text().removeprefix('cratelm.put(').removesuffix(');' + chr(10))}]")
    whole = gzip.decompress(base64.b64decode(pack))
    end = 4 + int.from_bytes(whole[:4], "little")
    return json.loads(whole[4:end]), whole[end:]


def tokens_at(text: Any, half: str) -> dict[int, str]:
    """Every place of a half that a text covers, and the token there."""
    found, place, tokens = {}, 0, iter(text["halves"][half]["tokens"])
    for gap, length in zip(text["halves"][half]["gaps"], text["halves"][half]["lengths"], strict=True):
        place += gap
        found |= {place + at: text["texts"][next(tokens)] for at in range(length)}
        place += length
    return found


@pytest.fixture(scope="module")
def pages(study, tmp_path_factory, quiet) -> Path:
    out = tmp_path_factory.mktemp("export") / "out"
    export_study(study, out, quiet)
    return out


def test_every_exported_unit_has_the_excerpts_and_numbers_of_the_served_one(study, pages) -> None:
    crate = Study(study).models["crate"]
    text, _ = unpacked(pages / "data" / "0" / "1" / "text-0.js")
    tokens = {half: tokens_at(text, half) for half in text["halves"]}
    for block in (0, 1):
        document, levels = unpacked(pages / "data" / "0" / "1" / f"units-{block}.js")
        for unit, found in document["units"].items():
            served = unit_document(crate, 1, int(unit))
            shown = list(excerpts_of(found, levels, tokens))
            assert len(shown) == len(served["excerpts"])
            for one, expected in zip(shown, served["excerpts"], strict=True):
                assert one["tokens"] == [served["texts"][token] for token in expected["tokens"]]
                assert all(one[name] == expected[name] for name in ("half", "kind", "length", "document", "interval"))
                step = np.ptp(found["scales"]["activations"]) / 255
                assert np.allclose(one["activations"], expected["activations"], atol=0.51 * step, rtol=6e-3)
                for name, values in expected["simulated"].items():
                    step = np.ptp(found["scales"][name]) / 255
                    assert np.allclose(one[name], values, atol=0.51 * step, rtol=6e-3)
            assert {name: found[name] for name in ("statistics", "explanations", "context")} == {
                name: served[name] for name in ("statistics", "explanations", "context")
            }


def excerpts_of(unit: dict[str, Any], levels: bytes, tokens: dict[str, dict[int, str]]):
    for group in unit["groups"]:
        shape = (len(group["names"]), len(group["start"]), group["length"])
        values = np.frombuffer(levels, np.uint8, np.prod(shape, dtype=int), group["at"]).reshape(shape)
        for row, start in enumerate(group["start"]):
            scaled = {}
            for at, name in enumerate(group["names"]):
                low, high = unit["scales"][name]
                scaled[name] = low + values[at, row] * (high - low) / 255
            known = {name: group[name] for name in ("half", "kind", "length")}
            known |= {name: group[name][row] for name in ("document", "interval")}
            yield known | scaled | {"tokens": [tokens[group["half"]][start + at] for at in range(group["length"])]}


def test_controls_are_left_out_unless_asked_for(study, pages, tmp_path, quiet) -> None:
    document, _ = unpacked(pages / "data" / "study.js")
    assert [model["name"] for model in document["models"]] == ["crate", "gpt2"]
    units, _ = unpacked(pages / "data" / "0" / "0" / "units-0.js")
    assert "random" not in {row["explainer"] for unit in units["units"].values() for row in unit["scores"]}
    export_study(study, tmp_path / "all", quiet, Choice(layer="0", controls=True))
    document, _ = unpacked(tmp_path / "all" / "data" / "study.js")
    assert [model["name"] for model in document["models"]] == ["crate", "gpt2", "crate-untrained", "gpt2-untrained"]
    units, _ = unpacked(tmp_path / "all" / "data" / "0" / "0" / "units-0.js")
    assert "random" in {row["explainer"] for unit in units["units"].values() for row in unit["scores"]}


def test_chosen_units_are_exported_and_no_others(study, tmp_path, quiet) -> None:
    export_study(study, tmp_path / "out", quiet, Choice(units="gpt2/1/40, gpt2/1/3"))
    data = tmp_path / "out" / "data"
    assert sorted(path.relative_to(data).as_posix() for path in data.rglob("*.js")) == [
        "0/1.js",
        "0/1/text-0.js",
        "0/1/units-0.js",
        "0/1/units-1.js",
        "study.js",
    ]
    layer, _ = unpacked(data / "0" / "1.js")
    whole = layer_document(Study(study).models["gpt2"], 1)
    assert layer["only"] == [3, 40]
    assert [at for at, one in enumerate(layer["sentences"]["table"]) if one is not None] == [3, 40]
    assert layer["firing"][40] == whole["firing"][40] and layer["scores"].keys() == whole["scores"].keys()
    units, _ = unpacked(data / "0" / "1" / "units-1.js")
    assert list(units["units"]) == ["40"]


@pytest.mark.parametrize("name", ["pages.zip", "pages"])
def test_a_zip_of_any_name_holds_the_files_in_a_folder_of_its_name(name, study, pages, tmp_path) -> None:
    assert run(["view", str(study), "--export", str(tmp_path / name), "--zip"]) == 0
    with zipfile.ZipFile(tmp_path / name) as archive:
        packed = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    assert packed == {f"pages/{path.relative_to(pages).as_posix()}": path.read_bytes() for path in pages.rglob("*.*")}
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("options", [{}, {"zipped": True}])
def test_an_export_that_is_stopped_leaves_nothing(study, tmp_path, quiet, monkeypatch, options) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(static_pages, "unit_block", stop)
    with pytest.raises(KeyboardInterrupt):
        export_study(study, tmp_path / "out", quiet, **options)
    assert not list(tmp_path.iterdir())


def test_one_page_allows_its_own_scripts_alone_and_has_no_path_of_this_machine(study, tmp_path, quiet) -> None:
    export_page(study, tmp_path / "one.html", quiet, Choice(units="crate/1/3"))
    page = (tmp_path / "one.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy and "unsafe" not in policy[1] and "default-src 'none'" in policy[1]
    assert not re.search(r'(?:src|href)="(?!data:)', page) and str(study) not in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--units", "crate/1/3"], "--layer, --units and --controls belong to --export or --html"),
        (["--html", "OUT", "--zip"], "--zip to --export"),
        (["--export", "OUT", "--html", "OUT"], "leave one of them out"),
        (["--export", "OUT", "--units", "crate/1/999"], "has no unit crate/1/999"),
        (["--export", "OUT", "--units", "crate/1"], "'crate/1' names not a unit"),
        (["--export", "OUT", "--layer", "7"], "crate has no layer 7, but 2"),
        (["--export", "OUT", "--layer", "nobody/1"], "no model 'nobody', but crate, gpt2"),
        (["--export", "OUT", "--layer", "1", "--units", "crate/1/3"], "leave --layer out"),
        (["--html", "OUT"], "at most 200 units, not 256"),
    ],
)
def test_what_cannot_be_exported_is_said_before_the_work(study, tmp_path, capsys, options, message) -> None:
    asked = [str(tmp_path / "out") if option == "OUT" else option for option in options]
    assert run(["view", str(study), *asked]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())
