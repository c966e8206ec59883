"""Every command cuts a model's text with one tokenizer and begins it with one token; other folders are refused."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from cratelm.artifacts import Artifact
from cratelm.cli import run
from cratelm.corpus.model_tokenizer import model_start, open_model_tokenizer, start_token
from cratelm.corpus.read_tokens import read_tokenizer
from cratelm.corpus.tokenizer import END_OF_TEXT, end_of_text_id, load_tokenizer, train_bpe
from cratelm.corpus.tokens import tokenize
from cratelm.errors import InputError
from cratelm.models.subject import ForeignModel, open_subject, tokens_for
from cratelm.records.config import RecordConfig
from cratelm.records.recording import Recording
from cratelm.sae.open import start_of
from cratelm.training.config import TrainConfig
from cratelm.training.text_losses import encode
from cratelm.training.train import train
from cratelm.units.clamp import Clamp
from cratelm.units.sites import find_sites
from cratelm.units.steer import steer
from tests.conftest import sentences
from tests.corpus.test_token_text import KINDS
from tests.language_models import random_gpt2

SIZE = 300


def written(folder: Path, tokenizer: Tokenizer, **settings) -> Path:
    """A random GPT-2 whose folder holds a tokenizer.json and what tokenizer_config.json says."""
    random_gpt2(vocab_size=tokenizer.get_vocab_size(), n_positions=80).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def bpe() -> Tokenizer:
    return train_bpe(sentences(60), SIZE)


def single_digits() -> Tokenizer:
    """The same vocabulary, but with every digit and letter r cut off first, as custom pre-tokenizers do."""
    tokenizer = bpe()
    tokenizer.pre_tokenizer = Sequence([Split(Regex(r"\d|r"), "isolated"), ByteLevel(add_prefix_space=False)])
    return tokenizer


def lower_case() -> Tokenizer:
    tokenizer = bpe()
    tokenizer.normalizer = Lowercase()
    return tokenizer


DISAGREEING: dict[str, tuple[Callable[[], Tokenizer], dict]] = {
    "a pre-tokenizer that the class does not know": (single_digits, {"tokenizer_class": "GPT2Tokenizer"}),
    "a normalizer that the class does not know": (lower_case, {"tokenizer_class": "GPT2Tokenizer"}),
    "a space before every text": (bpe, {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True}),
    "an added token": (
        bpe,
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "added_tokens_decoder": {
                "300": {
                    "content": "film was",
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                    "single_word": False,
                    "special": False,
                }
            },
        },
    ),
}


@pytest.fixture(params=DISAGREEING)
def disagreeing(request, tmp_path: Path) -> Path:
    make, settings = DISAGREEING[request.param]
    return written(tmp_path / "model", make(), **settings)


@pytest.mark.parametrize("command", ["eval", "steer", "record", "sae", "tokenize"])
def test_a_folder_whose_files_cut_text_differently_is_refused_by_every_command(
    disagreeing: Path, command: str, corpus_file: Path, tmp_path: Path, capsys
) -> None:
    text, out = str(corpus_file), str(tmp_path / "out")
    arguments = {
        "eval": ["eval", str(disagreeing), "--on", text],
        "steer": ["steer", str(disagreeing), "0/1=2", "--prompt", "the film was 1999"],
        "record": ["record", str(disagreeing), "--text", text, "--out", out],
        "sae": ["sae", str(disagreeing), "--text", text, "--out", out],
        "tokenize": ["tokenize", text, "--tokenizer", str(disagreeing), "--out", out],
    }[command]
    assert run(arguments) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "tokenizer.json and" in said and "tokenizer_config.json disagree" in said
    assert not (tmp_path / "out").exists()


def test_a_class_that_only_config_json_implies_is_compared_too(tmp_path: Path) -> None:
    folder = written(tmp_path / "model", single_digits())
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(InputError, match=r"tokenizer\.json and .*/config\.json disagree"):
        open_subject(str(folder))


@pytest.mark.parametrize("make", [bpe, single_digits, lower_case])
def test_what_eval_and_steer_read_is_what_the_tokenizer_file_says(make, tmp_path: Path) -> None:
    folder = written(tmp_path / "model", make(), tokenizer_class="PreTrainedTokenizerFast")
    text = f"The FILM was 1999 Errors long. {END_OF_TEXT}"
    own = make()
    own.encode_special_tokens = True
    (read,) = encode(open_model_tokenizer(folder), [text], SIZE).tokens
    assert read.tolist() == [0, *own.encode(text).ids]


def test_tokens_of_the_same_vocabulary_that_are_cut_differently_are_refused(tokens: Artifact, tmp_path, quiet) -> None:
    tokenizer = Tokenizer.from_str(read_tokenizer(tokens).to_str())
    tokenizer.pre_tokenizer = single_digits().pre_tokenizer
    folder = written(tmp_path / "model", tokenizer, tokenizer_class="PreTrainedTokenizerFast")
    with pytest.raises(InputError, match="was made with another tokenizer"):
        tokens_for(ForeignModel(folder, {}), str(tokens.path), tmp_path / "tokens", quiet)


def with_both(puts_first: str | None) -> Tokenizer:
    """A tokenizer with a beginning `<s>` (300) and an end `<|endoftext|>` (0), which puts one, both or none around."""
    tokenizer = bpe()
    tokenizer.add_special_tokens(["<s>"])
    if puts_first:
        special = [("<s>", SIZE), (END_OF_TEXT, 0)]
        tokenizer.post_processor = TemplateProcessing(single=f"{puts_first} $A {END_OF_TEXT}", special_tokens=special)
    return tokenizer


@pytest.mark.parametrize(("puts_first", "expected"), [(None, 0), ("<s>", SIZE), (END_OF_TEXT, 0)])
def test_record_eval_sae_and_steer_begin_a_text_with_the_same_token(
    puts_first, expected, corpus_file, tmp_path, quiet
) -> None:
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": END_OF_TEXT}
    folder = written(tmp_path / "model", with_both(puts_first), **settings)
    tokenizer = open_model_tokenizer(folder)
    model = random_gpt2(vocab_size=SIZE + 1, n_positions=80)
    made = tokens_for(open_subject(str(folder)), str(corpus_file), tmp_path / "tokens", quiet)
    seen: list[int] = []
    embedding = model.get_input_embeddings()
    embedding.register_forward_hook(lambda module, arguments, output: seen.extend(arguments[0][:, 0].tolist()))
    recording = Recording(RecordConfig(), folder, made)
    recording.__dict__["network"] = model
    recording.run(recording.shards[0], lambda *_: None, lambda: None)
    assert set(seen) == {expected}
    assert start_of(folder) == model_start(folder) == start_token(tokenizer) == expected
    assert encode(tokenizer, ["the film"], SIZE + 1).tokens[0][0] == expected
    steered = steer(model, tokenizer, find_sites(model), [Clamp.parse("0/1=1")], "the film", new_tokens=0)
    assert steered.tokens[0] == tokenizer.convert_ids_to_tokens(expected)


def test_a_tokenizer_that_puts_several_tokens_first_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "model", with_both(f"<s> {END_OF_TEXT}"), tokenizer_class="PreTrainedTokenizerFast")
    with pytest.raises(InputError, match=r"puts the tokens \[300, 0\] before a text"):
        model_start(folder)


def test_a_model_trained_here_begins_with_end_of_text_whatever_the_tokenizer_came_with(
    small_study, corpus_file, tmp_path, quiet
) -> None:
    folder = written(tmp_path / "foreign", with_both("<s>"), tokenizer_class="PreTrainedTokenizerFast")
    tokens = tokens_for(ForeignModel(folder, {}), str(corpus_file), tmp_path / "tokens", quiet)
    training = replace(small_study.training, tokens=0)
    config = TrainConfig(model="crate", shape=small_study.shape, training=training)
    assert model_start(train(config, tokens, tmp_path / "trained", quiet).path / "model") == 0


@pytest.mark.parametrize("kind", ["llama", "unigram", "bert"])
def test_a_model_trained_here_begins_with_the_end_token_that_its_vocabulary_has(
    kind, small_study, corpus_file, tmp_path, quiet
) -> None:
    KINDS[kind]().save(str(tmp_path / "tokenizer.json"))
    corpus = replace(small_study.corpus, corpus=str(corpus_file), tokenizer=str(tmp_path / "tokenizer.json"))
    tokens = tokenize(corpus, tmp_path / "tokens", quiet)
    config = TrainConfig(shape=small_study.shape, training=replace(small_study.training, tokens=0))
    folder = train(config, tokens, tmp_path / "trained", quiet).path / "model"
    saved, tokenizer = open_model_tokenizer(folder), read_tokenizer(tokens)
    assert model_start(folder) == end_of_text_id(tokenizer) == saved.eos_token_id
    assert saved.get_vocab() == tokenizer.get_vocab()


def test_a_start_token_is_no_part_of_the_text_and_ends_nothing(tmp_path: Path) -> None:
    folder = written(tmp_path / "model", with_both("<s>"), tokenizer_class="PreTrainedTokenizerFast", bos_token="<s>")
    tokenizer = open_model_tokenizer(folder)
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    assert tokenizer("the")["input_ids"] == [SIZE, *with_both(None).encode("the").ids]
    assert (encode(tokenizer, ["a <s> b"], SIZE + 1).tokens[0] == SIZE).sum() == 1


def test_a_folder_without_a_tokenizer_file_is_refused_by_eval_as_by_record(tmp_path: Path, capsys) -> None:
    folder = written(tmp_path / "model", bpe(), tokenizer_class="GPT2Tokenizer")
    described = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(described["vocab"]))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, described["merges"])]))
    (folder / "tokenizer.json").unlink()
    shutil.copyfile(__file__, tmp_path / "a.txt")
    for command in (["eval", str(folder), "--on"], ["record", str(folder), "--out", str(tmp_path / "out"), "--text"]):
        assert run([*command, str(tmp_path / "a.txt")]) == 2
        assert "holds no tokenizer.json" in " ".join(capsys.readouterr().err.split())


def test_other_merges_of_slow_files_do_not_change_the_cut(tmp_path: Path) -> None:
    folder = written(tmp_path / "model", bpe(), tokenizer_class="GPT2Tokenizer")
    (folder / "vocab.json").write_text(json.dumps(bpe().get_vocab()))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    text = sentences(1)[0]
    assert open_model_tokenizer(folder)(text)["input_ids"] == bpe().encode(text).ids


class Counted:
    """A class whose one method notes the file or folder that it is called with."""

    def __init__(self, real: type, method: str, calls: list[str]):
        self.real, self.method, self.calls = real, method, calls

    def __getattr__(self, name: str):
        if name != self.method:
            return getattr(self.real, name)

        def note(path: str | Path, **options):
            self.calls.append(str(path))
            return getattr(self.real, name)(path, **options)

        return note


def test_record_reads_a_models_tokenizer_once_itself_and_once_through_transformers(tmp_path, monkeypatch) -> None:
    read: list[str] = []
    built: list[str] = []
    folder = written(tmp_path / "model", bpe(), tokenizer_class="PreTrainedTokenizerFast")
    counted = Counted(AutoTokenizer, "from_pretrained", built)
    monkeypatch.setattr("cratelm.corpus.tokenizer.Tokenizer", Counted(Tokenizer, "from_file", read))
    monkeypatch.setattr("cratelm.corpus.model_tokenizer.AutoTokenizer", counted)
    (tmp_path / "text.txt").write_text("\n\n".join(sentences(400)))
    where = ["--text", str(tmp_path / "text.txt"), "--out", str(tmp_path / "out")]
    assert run(["record", str(folder), *where, "--pool", "20"]) == 0
    assert read == [str(folder / "tokenizer.json"), str(tmp_path / "out-tokens.partial" / "tokenizer.json")]
    assert built == [str(folder)]


def test_a_tokenizer_that_is_written_again_is_read_again(tmp_path) -> None:
    folder = written(tmp_path / "model", bpe(), tokenizer_class="PreTrainedTokenizerFast")
    text, file = sentences(1)[0], folder / "tokenizer.json"
    before = open_model_tokenizer(folder)(text)["input_ids"]
    assert load_tokenizer(file) is load_tokenizer(file)
    single_digits().save(str(file))
    after = open_model_tokenizer(folder)(text)["input_ids"]
    assert after == single_digits().encode(text).ids != before
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer"}))
    with pytest.raises(InputError, match="disagree"):
        open_model_tokenizer(folder)


def test_a_tokenizer_that_was_opened_is_not_changed_by_whoever_uses_it(tmp_path) -> None:
    folder = written(tmp_path / "model", bpe(), tokenizer_class="PreTrainedTokenizerFast", bos_token=END_OF_TEXT)
    opened = open_model_tokenizer(folder)
    opened.add_tokens(["film"])
    opened.pad_token = END_OF_TEXT
    opened("the film", truncation=True, max_length=1, padding="max_length")
    own = load_tokenizer(folder / "tokenizer.json")
    assert (own.post_processor, own.truncation, own.padding) == (None, None, None)
    assert own.get_vocab() == bpe().get_vocab() == open_model_tokenizer(folder).get_vocab()


def test_a_special_token_that_there_is_not_is_not_the_word_none(tmp_path) -> None:
    tokenizer = bpe()
    tokenizer.add_tokens(["None"])
    folder = written(tmp_path / "model", tokenizer, tokenizer_class="PreTrainedTokenizerFast")
    assert open_model_tokenizer(folder).eos_token is None
