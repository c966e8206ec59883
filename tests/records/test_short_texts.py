"""Texts shorter than the protocol strict's excerpts: tweets, prompts, names."""

import json
import random
from pathlib import Path

import pytest

from cratelm.artifacts import open_artifact, read_json
from cratelm.cli import run
from cratelm.corpus.read_tokens import read_side
from cratelm.protocols import PROTOCOLS, SHORT, STRICT
from cratelm.records.store import read_excerpts
from cratelm.viewer.overview import study_document
from cratelm.viewer.viewed_study import Study
from tests.language_models import bytes_tokenizer, random_gpt2

SMALL = ["--records.pool", "50", "--score.replicates", "100"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model, and texts of 20 to 50 tokens."""
    random_gpt2(n_positions=80).save_pretrained(tmp_path / "tiny")
    bytes_tokenizer().save_pretrained(tmp_path / "tiny")
    draw = random.Random(0)
    texts = ["".join(draw.choice("abcd efg ") for _ in range(draw.randint(20, 50))) for _ in range(600)]
    lines = "\n".join(json.dumps({"text": text}) for text in texts)
    (tmp_path / "tweets.jsonl").write_text(lines, encoding="utf-8")
    return tmp_path


def test_short_texts_are_refused_by_strict_and_measured_by_short(folder: Path, capsys) -> None:
    model, text = str(folder / "tiny"), ["--text", str(folder / "tweets.jsonl")]
    assert run(["measure", model, *text, "--out", str(folder / "strict"), *SMALL]) == 2
    said = capsys.readouterr().err
    assert "no document of the explain side is 64 tokens long. The longest of " in said
    assert "For short texts, measure a model with --records.protocol short." in said
    out = folder / "short"
    assert run(["measure", model, *text, "--out", str(out), "--records.protocol", "short", *SMALL]) == 0
    printed = capsys.readouterr().out
    assert "protocol short: excerpts of 18 tokens: compare only with others of this protocol" in printed
    records = open_artifact(out / "records" / "tiny", "records")
    assert read_json(records.path / "records.json")["protocol"] == "short"
    side = read_side(open_artifact(out / "tokens", "tokens"), "score")
    starts = [0, *side.ends[:-1]]
    for excerpt in (18, SHORT):
        excerpts = read_excerpts(records, 1, "score", "random", range(3), excerpt)
        assert excerpts.tokens.shape[1] == excerpt and len(excerpts.unit)
        for start, document, tokens in zip(excerpts.start, excerpts.document, excerpts.tokens, strict=True):
            assert starts[document] <= start and start + excerpt < side.ends[document]
            assert side.tokens[start : start + excerpt].tolist() == tokens.tolist()
    assert run(["show", str(out), "tiny/1/3"]) == 0
    assert study_document(Study(out), None)["models"][0]["protocol"] == "short"


def test_short_differs_from_strict_in_the_length_of_its_long_excerpts_alone() -> None:
    short = PROTOCOLS["short"]
    assert (STRICT.long, short.long) == (64, 2 * SHORT)
    for name in STRICT.scored:
        for ours, theirs in zip(short.scored[name], STRICT.scored[name], strict=True):
            assert (ours.kind, ours.ranks) == (theirs.kind, theirs.ranks)
            assert ours.length == (theirs.length if theirs.length == SHORT else short.long)
    for field in ("explained_on", "scored_on", "once", "ranked", "missing", "metrics", "tables", "recording"):
        assert getattr(short, field) == getattr(STRICT, field)


def test_a_small_text_needs_no_document_to_validate_a_training_on(folder: Path, capsys) -> None:
    lines = (folder / "tweets.jsonl").read_text(encoding="utf-8").splitlines()[:50]
    (folder / "few.jsonl").write_text("\n".join(lines), encoding="utf-8")
    text = ["--text", str(folder / "few.jsonl"), "--records.protocol", "short"]
    assert run(["measure", str(folder / "tiny"), *text, "--out", str(folder / "out"), *SMALL]) == 0
    sides = read_json(folder / "out" / "tokens" / "counts.json")["sides"]
    assert sides["validation"]["documents"] == 0 < sides["score"]["documents"]
