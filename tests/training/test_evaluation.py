"""`cratelm eval`: losses that a plain loop gives as well, bad input named."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import zstandard
from transformers import (
    BertConfig,
    BertLMHeadModel,
    BloomConfig,
    BloomForCausalLM,
    PreTrainedTokenizerFast,
)

from cratelm.artifacts import Artifact
from cratelm.cli import run
from cratelm.corpus.read_tokens import Side, read_side, read_tokenizer
from cratelm.corpus.tokenizer import END_OF_TEXT, train_bpe
from cratelm.models.build import build_model
from cratelm.models.save import save_model
from cratelm.shapes import ShapeConfig
from cratelm.training.config import TrainConfig
from cratelm.training.evaluate_texts import evaluate_texts, open_language_model
from cratelm.training.heldout_loss import document_losses
from cratelm.training.text_losses import encode, last_words_right, text_losses
from cratelm.training.train import train
from tests.conftest import sentences
from tests.corpus.test_evaluation_sets import parquet
from tests.language_models import (
    CONTEXT,
    PASSAGES,
    TEXTS,
    VOCABULARY,
    bytes_tokenizer,
    random_gpt2,
    successor_gpt2,
)


def ids_of(text: str) -> list[int]:
    return train_bpe(["a"], VOCABULARY).encode(text).ids


@pytest.mark.parametrize("stride", [1, 5, CONTEXT])
@torch.no_grad()
def test_a_loss_in_sliding_windows_equals_a_loop_over_single_tokens(stride, quiet) -> None:
    model = random_gpt2()
    found = text_losses(model, encode(bytes_tokenizer(), TEXTS, VOCABULARY), CONTEXT, stride, quiet)
    for number, text in enumerate(TEXTS):
        read, nats = [0, *ids_of(text)], 0.0
        for place in range(1, len(read)):
            start = max(0, math.ceil((place - CONTEXT) / stride)) * stride
            log_p = model(torch.tensor([read[start:place]])).logits[0, -1].double().log_softmax(-1)
            nats -= log_p[read[place]].item()
        assert found.nats[number] == pytest.approx(nats, rel=1e-5)
        assert found.tokens[number] == len(text.encode())
        assert found.bytes[number] == len(text.encode())


def test_the_loss_of_transformers_own_gpt2_is_the_one_that_it_gives_itself(folder, quiet) -> None:
    model, tokenizer = open_language_model(folder)
    texts = ["the film", "a café"]
    nats, tokens = 0.0, 0
    for text in texts:
        read = torch.tensor([[0, *ids_of(text)]])
        nats += model(read, labels=read).loss.item() * (read.shape[1] - 1)
        tokens += read.shape[1] - 1
    found = evaluate_texts(model, tokenizer, texts, None, False, quiet)
    assert found["nats_per_token"]["mean"] == pytest.approx(nats / tokens, rel=1e-5)
    assert found["perplexity"]["mean"] == pytest.approx(math.exp(nats / tokens), rel=1e-5)
    assert found["bits_per_byte"]["mean"] == pytest.approx(nats / math.log(2) / 15, rel=1e-5)
    for name in ("nats_per_token", "perplexity", "bits_per_byte"):
        assert found[name]["low"] <= found[name]["mean"] <= found[name]["high"]


def test_documents_of_one_context_have_the_loss_that_training_reports(tokens: Artifact, quiet) -> None:
    tokenizer, side = read_tokenizer(tokens), read_side(tokens, "validation")
    starts, ends = [0, *side.ends[:9]], side.ends[:10]
    pieces = [side.tokens[start : end - 1].tolist() for start, end in zip(starts, ends, strict=True)]
    model = build_model("crate", ShapeConfig(width=16, heads=2, context=512), 300, 0, 0).eval()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END_OF_TEXT)
    sequences = encode(fast, [tokenizer.decode(piece) for piece in pieces], 300)
    assert max(map(len, pieces)) <= 512
    found = text_losses(model, sequences, 512, 512, quiet)
    sizes = np.array([len(tokenizer.decode(piece).encode()) for piece in pieces])
    expected = document_losses(model, Side(side.tokens[: ends[-1]], ends), 0, sizes)
    assert found.nats == pytest.approx(expected.nats, rel=1e-5)
    assert np.array_equal(found.tokens, expected.tokens)
    assert np.array_equal(found.bytes, expected.bytes)


def test_a_batch_gives_what_its_documents_give_alone(quiet, monkeypatch) -> None:
    sequences = encode(bytes_tokenizer(), TEXTS, VOCABULARY)
    together = text_losses(random_gpt2(), sequences, CONTEXT, 7, quiet).nats
    monkeypatch.setattr("cratelm.training.bounded_logits.LOGITS_AT_ONCE", 1)
    assert text_losses(random_gpt2(), sequences, CONTEXT, 7, quiet).nats == pytest.approx(together, rel=1e-5)


def test_without_a_start_token_the_first_token_is_given_and_its_bytes_do_not_count(quiet) -> None:
    sequences = encode(bytes_tokenizer(start=False), ["the film", "a"], VOCABULARY)
    found = text_losses(random_gpt2(), sequences, CONTEXT, CONTEXT, quiet)
    assert found.tokens.tolist() == [7, 0]
    assert found.bytes.tolist() == [7, 0]
    assert found.nats[1] == 0


def test_an_end_of_text_spelled_out_in_a_text_is_plain_characters() -> None:
    sequence = encode(bytes_tokenizer(), [f"a{END_OF_TEXT}b"], VOCABULARY).tokens[0]
    assert (sequence == 0).sum() == 1
    assert len(sequence) == 1 + len(END_OF_TEXT) + 2


def test_a_last_word_is_right_when_each_of_its_tokens_is_the_likeliest(quiet) -> None:
    model = successor_gpt2({"b": " ", " ": "c", "c": "d", "d": "a"})
    # The first token of a passage follows the start token, after which all are equally likely: number 0 is first.
    expected = [right and " " in text for text, right in PASSAGES.items()]
    sequences = encode(bytes_tokenizer(), list(PASSAGES), VOCABULARY)
    assert last_words_right(model, sequences, 64, quiet).tolist() == expected
    alone = encode(bytes_tokenizer(start=False), list(PASSAGES), VOCABULARY)
    assert last_words_right(model, alone, 64, quiet).tolist() == list(PASSAGES.values())
    long = encode(bytes_tokenizer(), ["ab " * 30 + "cd", "ab " * 30 + "dd"], VOCABULARY)
    assert last_words_right(model, long, 64, quiet).tolist() == [True, False]


def test_last_words_are_asked_for_on_lambada_alone(folder, tmp_path, capsys) -> None:
    successor_gpt2({"b": " ", " ": "c", "c": "d"}).save_pretrained(folder)
    lines = "".join(json.dumps({"text": text}) + "\n" for text in PASSAGES)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "lambada_test.jsonl").write_text(lines)
    assert run(["eval", str(folder), "--on", "lambada", "--data", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["last_word_accuracy"]["mean"] == pytest.approx(2 / 7)
    assert run(["eval", str(folder), "--on", str(tmp_path / "data" / "lambada_test.jsonl"), "--json"]) == 0
    assert "last_word_accuracy" not in json.loads(capsys.readouterr().out)


def test_figures_are_printed_as_a_table_and_a_stage_folder_is_a_model(tmp_path, capsys) -> None:
    (tmp_path / "a.txt").write_text("\n\n".join(sentences(5)))
    model = tmp_path / "stage" / "model"
    save_model(build_model("crate", ShapeConfig(width=16, heads=2, context=64), VOCABULARY, 0, 0), model, {})
    bytes_tokenizer().save_pretrained(model)
    assert run(["eval", str(model), "--on", str(tmp_path / "a.txt"), "--stride", "32", "--documents", "4"]) == 0
    out = capsys.readouterr().out
    assert "bits a byte" in out and "perplexity" in out
    assert "4 documents" in out and "context 64, stride 32" in out


def test_a_trained_stage_is_evaluated_and_a_damaged_one_is_named(small_study, tokens, tmp_path, quiet, capsys) -> None:
    training = replace(small_study.training, tokens=0)
    stage = train(
        TrainConfig(model="crate", shape=small_study.shape, training=training), tokens, tmp_path / "stage", quiet
    ).path
    (tmp_path / "a.txt").write_text("\n\n".join(sentences(3)))
    arguments = ["eval", str(stage), "--on", str(tmp_path / "a.txt"), "--json"]
    assert run(arguments) == 0
    assert json.loads(capsys.readouterr().out)["nats_per_token"]["mean"] == pytest.approx(math.log(300), abs=0.3)
    weights = stage / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert run(arguments) == 2
    assert "damaged" in capsys.readouterr().err


def spoil(folder: Path, harm: str) -> None:
    if harm == "no tokenizer":
        for file in folder.glob("*token*"):
            file.unlink()
    elif harm == "large tokenizer":
        random_gpt2(vocab_size=100).save_pretrained(folder)
    elif harm == "damaged weights":
        model = random_gpt2()
        torch.nn.init.constant_(model.transformer.ln_f.weight, math.nan)
        model.save_pretrained(folder)
    else:
        bert = BertConfig(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
        shutil.rmtree(folder)
        BertLMHeadModel(bert).save_pretrained(folder)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("no tokenizer", "holds no tokenizer"),
        ("large tokenizer", "they do not fit"),
        ("damaged weights", "not a finite number"),
        ("sees later tokens", "bert model as configured here sees later tokens"),
    ],
)
def test_a_model_that_cannot_be_measured_is_named(harm, message, folder, tmp_path, capsys) -> None:
    (tmp_path / "a.txt").write_text("the film was long\n")
    spoil(folder, harm)
    assert run(["eval", str(folder), "--on", str(tmp_path / "a.txt")]) == 2
    assert message in capsys.readouterr().err


def test_a_model_that_does_not_say_how_much_it_can_read_is_named(folder, tmp_path, capsys) -> None:
    (tmp_path / "a.txt").write_text("the film was long\n")
    BloomForCausalLM(BloomConfig(vocab_size=VOCABULARY, hidden_size=16, n_layer=1, n_head=2)).save_pretrained(folder)
    assert run(["eval", str(folder), "--on", str(tmp_path / "a.txt")]) == 2
    assert "max_position_embeddings (or n_positions, seq_length, max_seq_len) is missing" in capsys.readouterr().err
    assert run(["eval", str(folder), "--on", str(tmp_path / "a.txt"), "--context", "12"]) == 0
    assert "context 12, stride 12" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to measure"),
        (["--on", "wikitext3"], "no set and no file wikitext3"),
        (["--on", "wikitext2"], "HF_HUB_OFFLINE=0"),
        (["--on", "wikitext2", "--data", "empty"], "holds no wikitext-2-raw-v1/test*.parquet"),
        (["--on", "wikitext2", "--data", "missing"], "no such folder"),
        (["--on", "wikitext2", "--data", "column"], "has no column `text`"),
        (["--on", "wikitext2", "--data", "broken"], "0000.parquet"),
        (["--on", "pile", "--data", "cut"], "test.jsonl.zst"),
        (["--on", "a.txt", "--data", "empty"], "Leave --data out"),
        (["--on", "blank.jsonl"], "holds no text"),
        (["--on", "a.txt", "--stride", "0"], "It must be 1 or more"),
        (["--on", "a.txt", "--stride", "13"], "Give 1 to 12"),
        (["--on", "a.txt", "--documents", "0"], "--documents. It must be 1 or more"),
        (["--data", "empty", "--tasks", "x"], "give --on"),
        (["--stride", "3", "--tasks", "x"], "give --on"),
        (["--on", "a.txt", "--tasks-folder", "empty"], "give --tasks"),
        (["--tasks", ","], "names no task"),
    ],
)
def test_bad_input_is_answered_by_one_line_and_status_2(
    arguments, message, folder, tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "a.txt").write_text("the film was long\n")
    (tmp_path / "blank.jsonl").write_text('{"text": " "}\n')
    (tmp_path / "empty").mkdir()
    parquet(tmp_path / "column" / "wikitext-2-raw-v1" / "test-00000-of-00001.parquet", "page", ["text"])
    parquet(tmp_path / "broken" / "wikitext-2-raw-v1" / "test" / "0000.parquet", "text", ["text"])
    whole = tmp_path / "broken" / "wikitext-2-raw-v1" / "test" / "0000.parquet"
    whole.write_bytes(whole.read_bytes()[:-20])
    (tmp_path / "cut").mkdir()
    packed = zstandard.ZstdCompressor().compress(b'{"text": "one"}\n' * 100)
    (tmp_path / "cut" / "test.jsonl.zst").write_bytes(packed[:-5])
    assert run(["eval", str(folder), *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err and not captured.out


def test_code_in_a_models_folder_is_not_executed(folder, tmp_path, capsys) -> None:
    marker = tmp_path / "executed"
    code = f"from pathlib import Path\nPath({str(marker)!r}).touch()\n"
    for name, key in (("config.json", "AutoConfig"), ("tokenizer_config.json", "AutoTokenizer")):
        settings = json.loads((folder / name).read_text())
        settings["auto_map"] = {key: "evil.Evil", "AutoModelForCausalLM": "evil.Evil"}
        (folder / name).write_text(json.dumps(settings))
    (folder / "evil.py").write_text(code)
    (tmp_path / "a.txt").write_text("the film was long\n")
    run(["eval", str(folder), "--on", str(tmp_path / "a.txt")])
    assert not marker.exists()
