"""Which units feed a unit and which it feeds: on the server, in the terminal, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient

import cratelm
from cratelm.artifacts import open_artifact
from cratelm.circuits.attribution import Target, attribute
from cratelm.circuits.tape import Tape
from cratelm.cli import run
from cratelm.corpus.model_tokenizer import start_token
from cratelm.records.text_sample import read_pieces
from cratelm.viewer.neighbour_layers import COUNT, TOKENS
from tests.viewer.viewing import client_of

QUESTION = {"model": "crate", "layer": 1, "unit": 3, "position": 3, "text": "the film was good"}


@pytest.fixture(scope="module")
def client(study: Path) -> TestClient:
    return client_of(study)


@pytest.mark.parametrize("name", ["crate", "gpt2"])
def test_what_feeds_a_unit_is_the_mean_of_its_attribution_over_the_recorded_text(client, study, name) -> None:
    shown = client.get(f"/api/{name}/1/3/connections").json()
    model = cratelm.open(study).model(name)
    start, total, count = start_token(model.tokenizer), 0, 0
    for piece in read_pieces(open_artifact(study / "records" / name, "records"), "score", TOKENS)[:2]:
        tape = Tape.of(model.network, [site.name for site in model.sites], torch.from_numpy(np.r_[start, piece]))
        at = [attribute(tape, Target(1, 3, position)).units[0].double().sum(0) for position in range(1, len(piece) + 1)]
        total, count = total + torch.stack(at).sum(0), count + len(piece)
    assert shown["tokens"] >= count and shown["feeds"] is None and len(shown["fed_by"]) == COUNT
    nearly = total / count  # of two pieces of the text: the same units, about the same numbers
    agreement = np.corrcoef(
        [nearly[one["unit"]] for one in shown["fed_by"]], [one["contribution"] for one in shown["fed_by"]]
    )
    assert agreement[0, 1] > 0.95


def test_both_sides_of_a_connection_show_the_same_numbers(client) -> None:
    for one in client.get("/api/crate/1/3/connections").json()["fed_by"][:3]:
        above = client.get(f"/api/crate/0/{one['unit']}/connections").json()
        assert above["fed_by"] is None
        back = [other for other in above["feeds"] if other["unit"] == 3]
        assert all(other["contribution"] == pytest.approx(one["contribution"], rel=1e-2) for other in back)
        assert all(other["weight"] == pytest.approx(one["weight"], rel=1e-2) for other in back)


def test_the_terminal_shows_the_same_units(client, study, capsys) -> None:
    assert run(["show", str(study), "gpt2/0/3", "--connections"]) == 0
    printed = capsys.readouterr().out
    feeds = client.get("/api/gpt2/0/3/connections").json()["feeds"]
    assert all(f" 1/{one['unit']} " in printed for one in feeds) and "fed by: there is no such layer" in printed
    assert run(["show", str(study), "gpt2/0/3", "--connections", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["connections"]["feeds"] == feeds


def test_a_recording_has_no_model_to_ask(study, capsys) -> None:
    assert run(["show", str(study / "records" / "crate"), "1/3", "--connections"]) == 2
    assert "Give the folder of a study" in " ".join(capsys.readouterr().err.split())


def test_latents_have_connections_and_layers_that_are_not_there_have_none(latents_study, client) -> None:
    answer = client_of(latents_study).get("/api/crate%2Bsae-1x-k4/1/3/connections")
    assert answer.status_code == 200 and answer.json()["fed_by"]
    assert client.get("/api/crate/9/3/connections").status_code == 404


def test_units_that_cannot_be_taken_apart_are_refused_with_the_reason(study, monkeypatch) -> None:
    monkeypatch.setattr("cratelm.circuits.tape.BEFORE", {})
    client = client_of(study)
    for answer in (client.get("/api/crate/1/3/connections"), client.post("/api/try/why", json=QUESTION)):
        assert answer.status_code == 422 and "not a single sum" in answer.json()["error"]
