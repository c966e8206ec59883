"""The viewer's answers and its guards, by starlette's client and by a real server."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient

from cratelm.artifacts import open_artifact
from cratelm.cli import run
from cratelm.corpus.read_tokens import read_tokenizer
from cratelm.corpus.token_text import token_texts
from cratelm.errors import InputError
from cratelm.explain.selection import select
from cratelm.llm.cache import Answers, Cached
from cratelm.llm.config import AskingConfig, JudgeConfig
from cratelm.models.load import load_causal_lm
from cratelm.protocols import PROTOCOLS
from cratelm.records.store import read_excerpts
from cratelm.score.score import read_scores
from cratelm.units.directions import nearest, unit_directions
from cratelm.units.unembedding import token_effects
from cratelm.viewer.api import Viewer
from cratelm.viewer.json_numbers import significant
from cratelm.viewer.judging import Judge
from cratelm.viewer.user_explanation import OwnWords
from cratelm.viewer.viewed_study import Study, without_address
from tests.llm_server import StandIn
from tests.rule_judge import ByRule
from tests.viewer.viewing import HERE, WITH_ERROR, client_of


@pytest.fixture(scope="module")
def client(study: Path) -> TestClient:
    return client_of(study)


def test_a_unit_shows_what_the_records_and_the_scores_hold(client, study):
    shown = client.get("/api/crate/1/7").json()
    records = open_artifact(study / "records" / "crate", "records")
    stored = read_excerpts(records, 1, "score", "top", [7])
    mine = [row for row in shown["excerpts"] if (row["half"], row["kind"], row["length"]) == ("score", "top", 64)]
    assert np.allclose([row["activations"] for row in mine], stored.activations, rtol=5e-3)
    scores = read_scores(open_artifact(study / "scores" / "crate", "scores"))
    row = (scores["layer"] == 1) & (scores["unit"] == 7) & (scores["metric"] == "random-only")
    expected = dict(zip(scores["explainer"][row], scores["score"][row], strict=True))
    found = {one["explainer"]: one["score"] for one in shown["scores"] if one["metric"] == "random-only"}
    assert found == pytest.approx(expected, rel=5e-3)
    for one in mine:
        r = np.corrcoef(one["activations"], one["simulated"]["table"])[0, 1]
        assert one["correlation"]["table"] == pytest.approx(r, abs=0.02)


def test_a_layer_lists_every_unit_with_its_score(client, study):
    layer = client.get("/api/gpt2/0").json()
    scores = read_scores(open_artifact(study / "scores" / "gpt2", "scores"))
    rows = (scores["layer"] == 0) & (scores["metric"] == "anthropic") & (scores["explainer"] == "graph")
    assert np.allclose(layer["scores"]["graph"]["anthropic"], scores["score"][rows], rtol=5e-3, atol=1e-9)
    assert {len(layer[name]) for name in ("firing", "maximum", "token_share", "reach", "tokens")} == {layer["units"]}


def test_units_judged_by_a_language_model_stand_beside_the_others_and_those_not_asked_about_have_no_score(judged_study):
    client, folder = client_of(judged_study), judged_study / "judged"
    scores = read_scores(open_artifact(folder / "scores" / "crate", "scores"))
    rows = (scores["layer"] == 1) & (scores["metric"] == "random-only")
    asked, known = scores["unit"][rows], scores["score"][rows]
    layer = client.get("/api/crate/1").json()
    found = np.array(layer["scores"]["llm"]["random-only"], float)
    assert np.allclose(found[asked], known, rtol=5e-3, equal_nan=True)
    others = np.setdiff1d(np.arange(layer["units"]), asked)
    assert len(asked) and len(others) and np.isnan(found[others]).all()
    assert layer["sentences"]["llm"][others[0]] is None
    failed = asked[scores["status"][rows] == "failed"].tolist()
    assert layer["status"]["llm"]["random-only"].get("failed", []) == failed
    unit = client.get(f"/api/crate/1/{asked[0]}").json()
    assert unit["explanations"]["llm"] == layer["sentences"]["llm"][asked[0]]
    (row,) = [one for one in unit["scores"] if (one["explainer"], one["metric"]) == ("llm", "random-only")]
    assert row["failed"] == scores["failed"][rows][0]
    assert "llm" not in client.get(f"/api/crate/1/{others[0]}").json()["explanations"]


def test_a_judge_that_failed_its_puzzles_is_marked_and_a_study_without_one_has_none(client, judged_study):
    assert {model["judge"] for model in client.get("/api/study").json()["models"]} == {None}
    for model in client_of(judged_study).get("/api/study").json()["models"]:
        assert model["judge"]["mark"] == " (FAILS)" and "could not be used" in model["judge"]["told"]


def test_a_judge_is_called_by_its_model_and_never_by_its_address():
    assert without_address("http://10.0.0.7:8000/v1 gemma") == "gemma"
    assert without_address("gemma.gguf 0123456789abcdef") == "gemma.gguf 0123456789abcdef"


@pytest.mark.parametrize("name", ["crate", "gpt2"])
def test_what_a_unit_writes_is_what_clamping_it_adds(study, name):
    model = load_causal_lm(study / "models" / name / "model")
    site = {"crate": "model.layers.1.coding.code", "gpt2": "model.layers.1.mlp.hidden"}[name]
    directions = unit_directions(model, site)
    parent = model.get_submodule(site.rpartition(".")[0])
    units = torch.zeros(1, 1, len(directions))
    with torch.inference_mode():
        empty = parent.down_proj(units) if name == "gpt2" else units @ parent.dictionary
        units[0, 0, 3] = 2
        written = (parent.down_proj(units) if name == "gpt2" else units @ parent.dictionary) - empty
    assert torch.allclose(written[0, 0], 2 * directions[3], atol=1e-6)
    cosines = torch.nn.functional.normalize(directions, dim=1) @ torch.nn.functional.normalize(directions[3], dim=0)
    cosines[3] = -1
    assert nearest(directions, 3, 4).unit == cosines.topk(4).indices.tolist()
    scaled = (directions[3] - directions[3].mean()) * model.model.norm.weight
    logits = scaled @ model.lm_head.weight.T
    assert torch.allclose(token_effects(model, directions[3]), logits - logits.mean(), atol=1e-6)


def test_a_text_fires_units_as_the_model_run_by_hand_says(client, study):
    text = "the cat was very good"
    asked = {"model": "crate", "text": text, "layer": 1, "unit": 3}
    found = client.post("/api/try/fire", json=asked).json()
    clamping = {"model": "crate", "text": text, "clamps": ["1/3=5"], "new_tokens": 4} | WITH_ERROR
    steered = client.post("/api/try/steer", json=clamping)
    assert "".join(found["tokens"]) == text and len(found["chosen"]["activations"]) == len(found["tokens"])
    assert steered.json()["divergence"] > 0
    strongest = found["firing"][0]
    one = {"layer": strongest["layer"], "unit": strongest["unit"]}
    again = client.post("/api/try/fire", json=asked | one).json()["chosen"]
    assert max(again["activations"]) == pytest.approx(strongest["maximum"], rel=0.01)
    assert again["activations"][strongest["place"]] == max(again["activations"])


def test_without_a_text_the_beginning_of_the_units_own_top_excerpt_is_the_example(client, study):
    asked = {"model": "crate", "layer": 1, "unit": 3}
    found = client.post("/api/try/fire", json=asked | {"text": None}).json()
    top = next(one for one in client.get("/api/crate/1/3").json()["excerpts"] if one["kind"] == "top")
    assert top["half"] == "explain" and top["length"] == 64
    texts = client.get("/api/crate/1/3").json()["texts"]
    end = max(16, int(np.argmax(top["activations"])) + 1)
    assert found["text"] == "".join(texts[token] for token in top["tokens"][:end])
    assert found["tokens"] == client.post("/api/try/fire", json=asked | {"text": found["text"]}).json()["tokens"]


def test_latents_are_steered_without_the_autoencoders_error_as_the_command_does(latents_study, capsys):
    name, text, divergences = "crate+sae-1x-k4", "the cat was very good", []
    client = client_of(latents_study)
    known = {model["name"]: model["latents"] for model in client.get("/api/study").json()["models"]}
    assert known[name] and not known["crate"]
    command = ["steer", str(latents_study / "models" / name), "1/3=5", "--prompt", text, "--new-tokens", "2", "--json"]
    for without_error, flags in ((False, []), (True, ["--without-error"])):
        capsys.readouterr()
        assert run([*command, *flags]) == 0
        expected = json.loads(capsys.readouterr().out)["steered"]
        asked = {"model": name, "text": text, "clamps": ["1/3=5"], "new_tokens": 2, "without_error": without_error}
        divergences.append(client.post("/api/try/steer", json=asked).json()["divergence"])
        assert divergences[-1] == pytest.approx(expected["divergence"])
    assert divergences[0] != pytest.approx(divergences[1])
    refused = client.post("/api/try/steer", json=asked | {"model": "crate"})
    assert refused.status_code == 422 and "no autoencoders" in refused.json()["error"]


@pytest.mark.parametrize("unit", [0, 5])
def test_words_of_ones_own_are_scored_on_that_unit_alone(client, unit):
    asked = {"model": "crate", "layer": 0, "unit": unit, "words": "film, not good=0.5"}
    scores = client.post("/api/try/explain", json=asked).json()["scores"]
    assert {"random-only", "top-and-random", "anthropic", "auroc"} <= {row["metric"] for row in scores}
    assert all(row["score"] is not None for row in scores)


def test_words_of_ones_own_are_shown_on_every_excerpt_of_the_units_page_and_counted_in_the_scored_ones(client):
    asked = {"model": "crate", "layer": 1, "unit": 3, "words": "the, film"}
    own, unit = client.post("/api/try/explain", json=asked).json(), client.get("/api/crate/1/3").json()
    texts = ["".join(unit["texts"][token] for token in one["tokens"]).lower() for one in unit["excerpts"]]
    has_film = [re.search(r"(?<!\w)film(?!\w)", text) is not None for text in texts]
    of_score = [one["half"] == "score" for one in unit["excerpts"]]
    assert own["excerpts"] == sum(of_score)
    assert own["words"]["film"] == sum(map(all, zip(has_film, of_score, strict=True)))
    for one, expected, r in zip(unit["excerpts"], own["simulated"], own["correlation"], strict=True):
        known = np.corrcoef(one["activations"], expected)[0, 1] if len({*expected}) > 1 else 0
        assert len(expected) == one["length"] and r == pytest.approx(known, abs=0.02)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("good film", {"good": 1, "film": 1}),
        ("good film=0.5", {"good": 1, "film": 0.5}),
        ('"Good film"=0.5 plot', {"good film": 0.5, "plot": 1}),
        ("good film, plot", {"good film": 1, "plot": 1}),
        ('"," ")"', {",": 1, ")": 1}),
        ('" and "', {" and ": 1}),
    ],
)
def test_words_are_parted_by_commas_or_else_by_blanks_but_never_within_quotation_marks(text, words):
    assert OwnWords.parse(text, []).strengths == words


@pytest.mark.parametrize("text", ["", " , ", "good=much", "good=0", "good=101", " ".join(map(str, range(101)))])
def test_words_without_a_word_or_with_a_strength_that_is_none_are_refused(text):
    with pytest.raises(InputError):
        OwnWords.parse(text, [])


def judging(study: Path, config: JudgeConfig, answers: Path, told: list[str]) -> TestClient:
    judge = Judge(config, AskingConfig(answers=answers), "all-at-once", told.append)
    return TestClient(Viewer(Study(study), judge).application(["127.0.0.1"]), base_url=HERE)


SENTENCE = {"model": "crate", "layer": 1, "unit": 7, "sentence": " films,\n and films "}


def test_a_sentence_is_scored_by_what_the_judge_reads_on_the_scored_excerpts(study, tmp_path):
    server = StandIn(word="film")
    client = judging(study, JudgeConfig(llm=server.url), tmp_path / "answers.sqlite", [])
    found = client.post("/api/try/judge", json=SENTENCE).json()
    records = open_artifact(study / "records" / "crate", "records")
    (drawn,) = select(records, 1, "score", PROTOCOLS["strict"].scored["random-only"], True, [7])
    texts = token_texts(read_tokenizer(records))
    expected = np.array([["film" in texts[token] for token in row] for row in drawn.tokens.tolist()], float)
    (score,) = found["scores"]
    r = np.corrcoef(drawn.activations.ravel(), expected.ravel())[0, 1]
    assert score["metric"] == "random-only" and score["score"] == pytest.approx(r, rel=5e-3)
    assert found["explanation"] == "films, and films"
    assert found["answers"] == len(drawn.unit) == 5 and not found["failures"]
    asked = len(server.seen)
    assert client.post("/api/try/judge", json=SENTENCE).json() == found and len(server.seen) == asked
    server.shutdown()


def test_excerpts_that_the_judge_failed_on_are_counted_by_reason(study, tmp_path, monkeypatch):
    answers = Answers(tmp_path / "answers.sqlite")
    monkeypatch.setattr("cratelm.viewer.judging.open_judge", lambda *_: Cached(ByRule(broken="\n"), answers))
    client = judging(study, JudgeConfig(llm="by rule"), tmp_path / "answers.sqlite", [])
    found = client.post("/api/try/judge", json=SENTENCE).json()
    assert found["answers"] == 5 and sum(found["failures"].values()) == 5
    assert (found["scores"][0]["status"], found["scores"][0]["score"]) == ("failed", None)


def test_the_page_learns_nothing_of_a_judge_but_its_models_name_even_when_it_breaks_down(study, tmp_path, monkeypatch):
    monkeypatch.setenv("CRATELM_LLM_KEY", "a-secret-key")
    server, told = StandIn(), []
    client = judging(study, JudgeConfig(llm=server.url), tmp_path / "answers.sqlite", told)
    assert client.get("/api/study").json()["reader"] == "rules"
    server.able = ()
    answer = client.post("/api/try/judge", json=SENTENCE)
    assert answer.status_code == 502 and server.url in told[0]
    pages = answer.text + client.get("/api/study").text
    assert "127.0.0.1" not in pages and "a-secret-key" not in pages + told[0]
    server.shutdown()


def test_without_a_judge_it_is_said_how_to_name_one(client, study, tmp_path, capsys):
    answer = client.post("/api/try/judge", json=SENTENCE)
    assert answer.status_code == 422 and "--llm" in answer.json()["error"]
    assert client.get("/api/study").json()["reader"] is None
    assert run(["view", str(study), "--llm", "x", "--export", str(tmp_path / "out")]) == 2
    assert "--export" in capsys.readouterr().err


@pytest.mark.parametrize("sentence", ["", " \n", "a" * 501])
def test_a_sentence_that_is_none_or_too_long_is_refused(client, sentence):
    assert client.post("/api/try/judge", json=SENTENCE | {"sentence": sentence}).status_code == 422


def test_words_mark_the_tokens_that_spell_them_and_no_other():
    words = OwnWords.parse("not good=0.5\nFilm", texts := ["a", " fi", "lm", "s", " not", " good", " ", "film"])
    tokens = np.array([[0, 1, 2, 6, 4, 5, 6, 7], [7, 3, 6, 5, 6, 1, 2, 3]])
    assert words.simulate(np.zeros(2), tokens, np.zeros(2)).tolist() == [
        [0, 1, 1, 0, 0.5, 0.5, 0, 1],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]
    assert len(texts) == 8


def test_numbers_keep_three_digits_and_say_none_for_what_is_none():
    assert significant(np.array([0, 1.23456, -0.000123456, 123456, np.nan, np.inf])) == [
        0.0,
        1.23,
        -0.000123,
        123000.0,
        None,
        None,
    ]


def test_a_layers_reach_is_that_of_its_units_pages_by_its_place_among_the_last_tokens(study):
    client = client_of(study)
    layer = client.get("/api/gpt2/1").json()
    assert any(place is not None for place in layer["reach"])
    for unit, place in enumerate(layer["reach"][:8]):
        context = client.get(f"/api/gpt2/1/{unit}").json()["context"]
        told = None if context is None else [*layer["last"], None].index(context["reach"])
        assert place == told


def test_units_that_fire_are_listed_at_one_token_or_in_one_layer_alone_the_most_unusual_first(client, study):
    asked = {"model": "crate", "text": "the cat was very good", "layer": None, "unit": None}
    everywhere = client.post("/api/try/fire", json=asked).json()["firing"]
    rarities = [one["as_strong"] for one in everywhere]
    assert rarities == sorted(rarities) and {one["layer"] for one in everywhere} == {0, 1}
    found = client.post("/api/try/fire", json=asked | {"at": 2, "within": 1}).json()
    assert {(one["layer"], one["place"]) for one in found["firing"]} == {(1, 2)}
    one = found["firing"][0]
    chosen = client.post("/api/try/fire", json=asked | {"layer": 1, "unit": one["unit"]}).json()["chosen"]
    assert chosen["activations"][2] == pytest.approx(one["maximum"], rel=0.01)
    for wrong, says in (({"at": 99}, "no token 99"), ({"at": -1}, "no token -1"), ({"within": 2}, "no layer 2, but")):
        answer = client.post("/api/try/fire", json=asked | wrong)
        assert answer.status_code == 422 and says in answer.json()["error"]


def test_what_is_drawn_depends_on_the_seed_and_the_temperature_alone(client):
    asked = {"model": "crate", "text": "the cat", "clamps": ["1/3=0"], "new_tokens": 12} | WITH_ERROR

    def said(**how: float) -> str:
        return client.post("/api/try/steer", json=asked | how).json()["continuation"]

    assert said(temperature=1, seed=3) == said(temperature=1, seed=3)
    assert len({said(temperature=1, seed=seed) for seed in range(4)}) > 1
    assert said() == said(temperature=0, seed=9) != said(temperature=2, seed=0)
    assert client.post("/api/try/steer", json=asked | {"temperature": 6}).status_code == 422
