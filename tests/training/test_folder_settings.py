"""Settings in a model's folder change neither a continuation that is called greedy nor a loss per byte."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import AddedToken
from tokenizers.normalizers import Lowercase, Sequence, Strip
from tokenizers.pre_tokenizers import ByteLevel

from cratelm.cli import run
from cratelm.corpus.config import CorpusConfig
from cratelm.corpus.token_text import token_bytes, token_texts
from cratelm.corpus.tokenizer import train_bpe
from cratelm.corpus.tokens import tokenize
from cratelm.errors import InputError
from cratelm.llm.local import LocalModel
from cratelm.models.load import load_causal_lm
from cratelm.training.heldout_loss import Validation
from tests.conftest import sentences
from tests.language_models import bytes_tokenizer, random_gpt2

SETTINGS = {
    "temperature": 3.0,
    "do_sample": True,
    "num_beams": 4,
    "repetition_penalty": 5.0,
    "no_repeat_ngram_size": 1,
    "bad_words_ids": [[65], [66], [98], [99]],
    "suppress_tokens": list(range(1, 70)),
    "begin_suppress_tokens": list(range(1, 200)),
    "sequence_bias": [[[70], 50.0]],
    "exponential_decay_length_penalty": [0, 9.0],
    "forced_bos_token_id": 77,
    "forced_eos_token_id": 78,
    "guidance_scale": 3.0,
    "min_length": 30,
    "max_length": 12,
    "max_new_tokens": 2,
    "eos_token_id": list(range(256)),
    "num_return_sequences": 1,
    "penalty_alpha": 0.6,
    "use_cache": False,
}


@pytest.fixture
def speaking(tmp_path: Path) -> Path:
    """A random GPT-2 with room for 64 tokens, and its tokenizer."""
    random_gpt2(n_positions=64).save_pretrained(tmp_path / "model")
    bytes_tokenizer().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def say(folder: Path, capsys) -> dict:
    """What `steer` prints about a prompt."""
    assert run(["steer", str(folder), "0/3=2", "--prompt", "the film was", "--new-tokens", "16", "--json"]) == 0
    return json.loads(capsys.readouterr().out)["steered"]


@pytest.mark.parametrize("name", SETTINGS)
def test_no_generation_setting_of_a_folder_changes_a_greedy_continuation(name, speaking: Path, capsys) -> None:
    before = say(speaking, capsys)
    settings = {name: SETTINGS[name]} | ({"num_beams": 4} if name in ("min_length",) else {})
    file = speaking / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))
    assert say(speaking, capsys) == before


def test_a_continuation_is_the_likeliest_token_each_time(speaking: Path, capsys) -> None:
    (speaking / "generation_config.json").write_text(json.dumps(SETTINGS))
    model, tokenizer = load_causal_lm(speaking).eval(), bytes_tokenizer()
    ids = torch.tensor([[0, *tokenizer("the film was")["input_ids"]]])
    begin = ids.shape[1]
    with torch.no_grad():
        while ids.shape[1] < begin + 16 and not (ids[0, begin:] == 0).any():
            ids = torch.cat([ids, model(ids, use_cache=False).logits[:, -1:].argmax(-1)], 1)
    assert say(speaking, capsys)["continuation"] == tokenizer.decode(ids[0, begin:])


@pytest.mark.parametrize("name", ["generation_config.json", "config.json"])
def test_settings_of_generation_and_outputs_do_not_change_a_judges_answer(name, speaking: Path) -> None:
    expected = list(LocalModel(speaking).texts(["the film was"], 16))
    settings = {key: value for key, value in SETTINGS.items() if key != "eos_token_id"}
    file = speaking / name
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))
    assert list(LocalModel(speaking).texts(["the film was"], 16)) == expected


@pytest.mark.parametrize(
    "settings", [{"return_dict": False}, {"output_hidden_states": True}, {"output_attentions": True}, SETTINGS]
)
def test_output_and_generation_settings_in_config_json_change_neither_loss_nor_continuation(
    settings, speaking: Path, tmp_path: Path, capsys
) -> None:
    (tmp_path / "a.txt").write_text("the film was long\n\nthe plot")

    def measured() -> tuple[dict, dict]:
        assert run(["eval", str(speaking), "--on", str(tmp_path / "a.txt"), "--json"]) == 0
        return json.loads(capsys.readouterr().out), say(speaking, capsys)

    before = measured()
    file = speaking / "config.json"
    ends = {"eos_token_id": 0} if "eos_token_id" in settings else {}
    file.write_text(json.dumps(json.loads(file.read_text()) | settings | ends))
    assert measured() == before


@pytest.mark.parametrize("setting", [{"clean_up_tokenization_spaces": True}, {"model_max_length": 3}])
def test_tokenizer_settings_change_neither_the_text_nor_the_loss(setting, speaking: Path, tmp_path, capsys) -> None:
    (tmp_path / "a.txt").write_text("it did n't , so . \n\nthe plot")
    file = speaking / "tokenizer_config.json"
    found = []
    for settings in ({}, setting):
        file.write_text(json.dumps(json.loads(file.read_text()) | settings))
        assert run(["eval", str(speaking), "--on", str(tmp_path / "a.txt"), "--json"]) == 0
        found.append((json.loads(capsys.readouterr().out), say(speaking, capsys)))
    assert found[0] == found[1]


@pytest.mark.parametrize("value", [[], "much", {"a": 1}])
def test_a_tokenizer_setting_of_the_wrong_type_is_refused_in_one_line(value, speaking: Path, capsys) -> None:
    file = speaking / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model_max_length": value}))
    assert run(["steer", str(speaking), "0/3=2", "--prompt", "the film was"]) == 2
    assert "transformers builds no tokenizer from" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "said"), [("config.json", "is damaged"), ("tokenizer.json", "is not a tokenizer")])
def test_nobody_is_told_to_remove_a_model_of_their_own(name, said, speaking: Path, capsys) -> None:
    (speaking / name).write_text("[]")
    assert run(["steer", str(speaking), "0/3=2", "--prompt", "the film was"]) == 2
    message = capsys.readouterr().err
    assert message.count(said) == 1
    assert "Remove" not in message


def test_an_added_token_has_the_bytes_of_its_own_text() -> None:
    tokenizer = train_bpe(["a film"], 257)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in ("  ", "日本", "né")])
    data = token_bytes(tokenizer)
    text = "a  日本 né x"
    encoding = tokenizer.encode(text)
    assert {257, 258, 259} <= set(encoding.ids)
    assert b"".join(data[number] for number in encoding.ids) == text.encode()
    assert token_texts(tokenizer)[257:] == ["  ", "日本", "né"]


@pytest.mark.parametrize("change", ["space before", "lower case", "nothing"])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_validation_loss_per_byte_counts_the_bytes_of_the_text(change, earlier, tmp_path: Path, quiet) -> None:
    tokenizer = train_bpe(sentences(60), 300)
    if change == "space before":
        tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=True)
    elif change == "lower case":
        tokenizer.normalizer = Sequence([Lowercase(), Strip()])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    texts = [f"Á {text} " for text in sentences(80)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    shares = {"validation_share": 0.3, "explain_share": 0.2, "score_share": 0.2}
    config = CorpusConfig(str(tmp_path / "a.jsonl"), tokenizer=str(tmp_path / "tokenizer.json"), **shares)
    made = tokenize(config, tmp_path / "tokens", quiet)
    if earlier:
        (made.path / "validation.ds.bytes").unlink()
    if earlier and change != "nothing":
        with pytest.raises(InputError, match="Tokenize again"):
            Validation(made)
        return
    model = random_gpt2(vocab_size=300, n_positions=80)
    losses = Validation(made).losses(model)
    counted = json.loads((made.path / "counts.json").read_text())["sides"]["validation"]
    assert losses.bytes.sum() == counted["bytes"]
    assert set(losses.bytes.tolist()) <= {len(text.encode()) for text in texts}
    assert Validation(made).losses(model, 3).bytes.tolist() == losses.bytes[:3].tolist()
