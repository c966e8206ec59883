"""Why did it fire here? What the server answers, next to the circuits' own numbers, and what it refuses."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

import cratelm
from cratelm.viewer.networks import Networks
from cratelm.viewer.requests import Tries
from cratelm.viewer.viewed_study import Study
from tests.viewer.viewing import client_of


@pytest.fixture(scope="module")
def client(study: Path) -> TestClient:
    return client_of(study)


def typed(**changes) -> dict:
    asked = {"model": "crate", "layer": 1, "unit": 3, "position": 3, "text": "the film was good"}
    return asked | {"half": None, "start": None, "count": None} | changes


def excerpt_of(client: TestClient, model: str) -> tuple[dict, int]:
    """An excerpt of a unit that is not at the start of its context, and the place where the unit fires most."""
    rows = client.get(f"/api/{model}/1/3").json()["excerpts"]
    one = next(row for row in rows if row["place"] > 0 and max(row["activations"]) > 0)
    return one, int(np.argmax(one["activations"]))


def recorded(one: dict, at: int, **changes) -> dict:
    place = {"half": one["half"], "start": one["start"] - one["place"], "count": one["place"] + one["length"]}
    return typed(text=None, position=one["place"] + at + 1) | place | changes


@pytest.mark.parametrize("model", ["crate", "gpt2"])
def test_an_excerpt_is_read_in_its_context_so_that_the_activation_is_the_recorded_one(client, model):
    one, at = excerpt_of(client, model)
    found = client.post("/api/try/why", json=recorded(one, at, model=model)).json()
    assert found["target"]["activation"] == pytest.approx(one["activations"][at], rel=5e-3)
    texts = client.get(f"/api/{model}/1/3").json()["texts"]
    assert found["tokens"][-one["length"] :] == [texts[token] for token in one["tokens"]]


@pytest.mark.parametrize("model", ["crate", "gpt2"])
def test_parts_and_positions_each_add_up_and_are_those_of_cratelm_why(client, study, model):
    found = client.post("/api/try/why", json=typed(model=model)).json()
    for trace in found["traces"]:
        parts = [*trace["contributors"], trace["others"], trace["constant"]]
        assert sum(part["contribution"] for part in parts) == pytest.approx(trace["value"], rel=1e-3, abs=1e-5)
        assert abs(sum(part["share"] for part in parts)) == pytest.approx(1, rel=1e-3)
    first = found["traces"][0]
    assert sum(found["positions"]) + first["constant"]["contribution"] == pytest.approx(first["value"], rel=1e-3)
    graph = cratelm.open(study).model(model).why("1/3", "the film was good", at=3).graph
    expected = [edge.contribution for edge in graph.traces[graph.target].edges]
    assert [one["contribution"] for one in first["contributors"]] == pytest.approx(expected, rel=1e-4)


def test_contributors_are_not_taken_apart_where_that_takes_too_long(client, monkeypatch):
    whole = client.post("/api/try/why", json=typed()).json()["traces"]
    monkeypatch.setattr("cratelm.viewer.why.DEEP", 1)
    assert client.post("/api/try/why", json=typed()).json()["traces"] == whole[:1] != whole


def test_contributors_come_with_their_explanation_and_top_token(client):
    found = client.post("/api/try/why", json=typed()).json()
    layer = client.get("/api/crate/0").json()
    for one in found["traces"][0]["contributors"]:
        said, tokens = found["said"][f"0/{one['unit']}"], layer["tokens"][one["unit"]]
        assert said["explanation"] == next(iter(layer["sentences"].values()))[one["unit"]]
        assert said["top"] == (layer["texts"][tokens[0]] if tokens else None)


def test_a_contributor_turned_off_is_the_model_run_with_that_unit_clamped_there(client, study):
    one = client.post("/api/try/why", json=typed()).json()["traces"][0]["contributors"][0]
    off = {f"of_{name}": one[name] for name in ("kind", "layer", "unit", "position")}
    found = client.post("/api/try/without", json=typed() | off).json()
    assert found["before"] - found["predicted"] == pytest.approx(one["contribution"], rel=1e-3, abs=1e-6)
    asked = {"model": "crate", "text": "the film was good", "layer": 1, "unit": 3}
    seen = client.post("/api/try/fire", json=asked).json()["chosen"]["activations"][2]
    assert max(found["before"], 0) == pytest.approx(seen, rel=5e-3, abs=1e-6)
    assert found["after"] != found["before"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"position": 99}, "no position 99"),
        ({"position": -1}, "no position -1"),
        ({"unit": 10**9}, "no unit"),
        ({"layer": -1}, "no layer -1, but layers 0 to 1"),
        ({"model": "../x"}, "no model of that name"),
        ({"text": ""}, "empty"),
        ({"text": "\ud800"}, "surrogate"),
        ({"text": "good " * 1500}, "the model reads"),
        ({"text": None}, "give a text"),
        ({"text": None, "half": "score", "start": -1, "count": 5}, "there are no 5"),
        ({"text": None, "half": "score", "start": 10**12, "count": 5}, "there are no 5"),
        ({"text": None, "half": "score", "start": 0, "count": 0}, "there are no 0"),
        ({"text": None, "half": "score", "start": 0, "count": 5000}, "the model reads"),
        ({"text": None, "half": "../tokenizer", "start": 0, "count": 5}, "not kept"),
        ({"text": None, "half": "validation", "start": 0, "count": 5}, "not kept"),
        ({"start": True}, "start is missing or of the wrong kind"),
        ({"more": 1}, "the request is an object of"),
    ],
)
def test_a_question_that_has_no_answer_is_refused_with_its_reason(client, changes, said):
    body = typed(**changes)
    answer = client.post("/api/try/why", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422 and said in answer.json()["error"]


@pytest.mark.parametrize(
    ("off", "said"),
    [
        (("unit", 1, 3, 3), "not contributors"),
        (("unit", 0, 10**6, 3), "no unit"),
        (("unit", 9, 0, 3), "no layer 9"),
        (("error", 0, 0, 3), "no layer 0"),
        (("unit", 0, 0, 99), "no position 99"),
        (("token", -1, 0, -5), "no position -5"),
        (("logit", 0, 0, 0), "nothing else"),
    ],
)
def test_what_is_no_contributor_is_not_turned_off(client, off, said):
    names = ("of_kind", "of_layer", "of_unit", "of_position")
    answer = client.post("/api/try/without", json=typed() | dict(zip(names, off, strict=True)))
    assert answer.status_code == 422 and said in answer.json()["error"]


def test_an_excerpt_whose_text_is_gone_or_another_is_not_taken_apart_on_other_text(client, study, tmp_path):
    one, at = excerpt_of(client, "crate")
    copy = shutil.copytree(study, tmp_path / "study")
    manifest = copy / "tokens" / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    changed = client_of(copy).post("/api/try/why", json=recorded(one, at))
    assert changed.status_code == 422 and "another text" in changed.json()["error"]
    shutil.rmtree(copy / "tokens")
    gone = client_of(copy).post("/api/try/why", json=recorded(one, at))
    assert gone.status_code == 422 and "STUDY/tokens is missing" in gone.json()["error"]


def test_questions_asked_at_the_same_time_do_not_see_one_another(study):
    tries = Tries(Study(study), Networks(), None)
    texts = [f"the {word} was {other}" for word in ("film", "cat", "dog") for other in ("good", "bad")]

    def ask(text: str) -> dict:
        return tries.why(json.dumps(typed(text=text)).encode())

    alone = [ask(text) for text in texts]
    with ThreadPoolExecutor(6) as crowd:
        assert list(crowd.map(ask, texts)) == alone
