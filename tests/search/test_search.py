"""Search by meaning: what is nearest, by a formula in plain arrays; what is indexed; what the real embedding finds."""

import builtins

import numpy as np
import pytest
from starlette.testclient import TestClient

import cratelm
from cratelm.errors import InputError
from cratelm.explain.registry import EXPLAINERS
from cratelm.search import embedding
from cratelm.search.index import LayerIndex
from cratelm.search.texts import TOP_TOKENS, is_cut_up, meant, texts_of_layer
from cratelm.viewer.viewed_study import Study
from tests.viewer.viewing import client_of

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def by_letters(texts) -> np.ndarray:
    """A stand-in for the embedding: how often each letter occurs."""
    counts = np.array([[text.lower().count(letter) for letter in LETTERS] for text in texts], dtype=float)
    return embedding.unit_length(counts)


@pytest.fixture(scope="module")
def viewed(study):
    return Study(study).models["crate"]


def test_a_unit_s_score_is_the_highest_cosine_of_its_texts_less_what_they_have_in_common(viewed) -> None:
    said = texts_of_layer(viewed, 0)
    question = by_letters(["bad plot"])[0] - by_letters([text.strip() for text in viewed.texts]).mean(axis=0)
    best: dict[int, float] = {}
    for texts in said.values():
        vectors = np.array(
            [
                sum(w * by_letters([word])[0] for word, w in zip(one.words, one.weights, strict=True))
                / sum(one.weights)
                for one in texts
            ]
        )
        for one, vector in zip(texts, vectors - vectors.mean(axis=0), strict=True):
            lengths = np.linalg.norm(vector) * np.linalg.norm(question)
            cosine = float(vector @ question / lengths) if lengths else 0.0
            best[one.unit] = max(best.get(one.unit, -2.0), cosine)
    hits = LayerIndex(viewed, 0, by_letters).search("bad plot", 10_000)
    assert {hit.unit: pytest.approx(hit.score, abs=1e-6) for hit in hits} == best
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_every_explainer_that_is_no_control_is_searched_and_so_are_top_tokens(judged_study) -> None:
    viewed = Study(judged_study).models["crate"]
    said = texts_of_layer(viewed, 0)
    expected = {name for name in viewed.explainers if EXPLAINERS[name].role == "explainer"}
    assert "llm" in expected and "random" not in said
    assert said.keys() == {TOP_TOKENS, *expected}


def test_a_number_and_a_piece_of_a_word_mean_nothing() -> None:
    assert meant("fires on 'oof' 1.00, ' spoil' 0.84, less on 101 more tokens") == "fires on spoil less on more tokens"


def test_a_text_of_mostly_pieces_of_words_is_not_searched() -> None:
    assert is_cut_up("fires on 'oof' 1.00, 'uff' 0.74, ' play' 0.65")
    assert not is_cut_up("fires on 'oof' 1.00, ' spoil' 0.84, ' play' 0.65")
    assert not is_cut_up("words of praise, and what one doesn't like")


def test_the_real_embedding_puts_what_means_the_same_nearer() -> None:
    pytest.importorskip("wordllama", reason="the extra `search` has the embedding")
    bad, awful, piano, seven = embedding.embed(["bad", "awful terrible", "piano", "seven"])
    assert bad @ awful > max(bad @ piano, bad @ seven) + 0.1
    assert np.array_equal(embedding.embed(["bad"])[0], bad)
    assert np.linalg.norm(bad) == pytest.approx(1)


def test_a_study_is_searched_from_python_and_by_the_viewer_alike(study) -> None:
    pytest.importorskip("wordllama", reason="the extra `search` has the embedding")
    opened = cratelm.open(study)
    found = opened.search("bad and awful films", count=5, model="crate")
    assert list(found.columns) == ["unit", "score", "said_by", "explanation"]
    assert len(found) == 5 and found["score"].is_monotonic_decreasing
    assert not opened.search("bad", count=500)["unit"].str.contains("untrained").any()
    client: TestClient = client_of(study)
    assert client.get("/api/study").json()["search"] is True
    rows = client.get("/api/crate/1/search", params={"q": "bad and awful films"}).json()["units"]
    direct = LayerIndex(Study(study).models["crate"], 1).search("bad and awful films", len(rows))
    assert [row["unit"] for row in rows] == [hit.unit for hit in direct]


def test_the_viewer_searches_all_trained_layers_as_each_layer_alone_would(study) -> None:
    pytest.importorskip("wordllama", reason="the extra `search` has the embedding")
    rows = client_of(study).get("/api/search", params={"q": "good film"}).json()["units"]
    every = [
        (hit.score, hit.model, hit.layer, hit.unit)
        for name in ("crate", "gpt2")
        for layer in range(2)
        for hit in LayerIndex(Study(study).models[name], layer).search("good film", 200)
    ]
    best = sorted(every, reverse=True)[: len(rows)]
    assert [row["score"] for row in rows] == pytest.approx([score for score, *_ in best], abs=1e-4)
    assert {(row["model"], row["layer"], row["unit"]) for row in rows[:20]} <= {tuple(where) for _, *where in every}


@pytest.mark.parametrize(
    ("path", "status"), [("/api/none/0/search?q=a", 404), ("/api/crate/0/search?q=", 422), ("/api/search", 422)]
)
def test_the_viewer_refuses_a_search_of_nothing(study, path, status) -> None:
    assert client_of(study).get(path).status_code == status
    assert client_of(study).get("/api/crate/0/search", params={"q": "x" * 201}).status_code == 422


def test_without_the_extra_search_says_how_to_get_it(study, monkeypatch) -> None:
    real = builtins.__import__

    def without(name, *more):
        if name == "wordllama":
            raise ImportError(name)
        return real(name, *more)

    embedding._model.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match="needs the extra `search`"):
        embedding.embed(["a"])


def test_an_empty_question_is_refused(study) -> None:
    with pytest.raises(InputError, match="the question is empty"):
        cratelm.open(study).search("  ")
