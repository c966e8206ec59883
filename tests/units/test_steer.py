"""Units held at a value: what changes is what the formula says, where it says, and nothing else."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

import cratelm
from cratelm.cli import run
from cratelm.corpus.tokenizer import END_OF_TEXT, train_bpe
from cratelm.errors import InputError
from cratelm.greedy import Writing, forget_generation_settings
from cratelm.models.build import build_model
from cratelm.models.save import save_model
from cratelm.shapes import ShapeConfig
from cratelm.units.clamp import Clamp, clamped
from cratelm.units.sites import at_sites, find_sites
from cratelm.units.steer import continue_text, next_words, read_prompt, steer
from tests import language_models

VOCABULARY, CONTEXT, WIDTH = 257, 32, 16


def bytes_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = train_bpe(["a"], VOCABULARY)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT)


@pytest.fixture(scope="module", params=["crate", "gpt2", "transformers-gpt2"])
def model(request):
    """A model whose predictions are far from uniform."""
    torch.manual_seed(0)
    if request.param == "transformers-gpt2":
        made = GPT2LMHeadModel(
            GPT2Config(vocab_size=VOCABULARY, n_embd=WIDTH, n_head=2, n_layer=2, n_positions=CONTEXT)
        )
    else:
        made = build_model(request.param, ShapeConfig(width=WIDTH, heads=2, context=CONTEXT), VOCABULARY, 0, 0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return made.eval()


@pytest.fixture
def ids() -> torch.Tensor:
    return torch.tensor([[0, 3, 1, 4, 1, 5, 9, 2], [0, 6, 5, 3, 5, 8, 9, 7]])


def activations_of(model, sites: list[str], ids: torch.Tensor) -> dict[str, torch.Tensor]:
    seen = {}
    with torch.no_grad(), at_sites(model, sites, lambda site, x: seen.update({site: x.clone()})):
        model(ids)
    return seen


@pytest.mark.parametrize(
    ("operation", "expected"),
    [("set", lambda a: 0 * a + 2.5), ("add", lambda a: a + 2.5), ("scale", lambda a: a * 2.5)],
)
@pytest.mark.parametrize("positions", [None, (0, 3), (-1,)])
def test_a_clamp_changes_its_unit_at_its_places_and_nothing_else_there(model, ids, operation, expected, positions):
    sites = find_sites(model)
    free = activations_of(model, sites, ids)[sites[1]]
    wanted = free.clone()
    places = list(range(ids.shape[1])) if positions is None else list(positions)
    wanted[:, places, 5] = expected(free[:, places, 5])
    clamp = Clamp(layer=1, unit=5, operation=operation, value=2.5, positions=positions)
    with clamped(model, sites, [clamp]):
        held = activations_of(model, sites, ids)
    torch.testing.assert_close(held[sites[1]], wanted)


def test_the_logits_of_a_clamped_crate_follow_from_its_code_and_dictionary(ids) -> None:
    model = build_model("crate", ShapeConfig(width=WIDTH, heads=2, context=CONTEXT), VOCABULARY, 0, 0).eval()
    sites = find_sites(model)
    code = activations_of(model, sites, ids)[sites[-1]]
    code[..., 7] = 3.0
    with torch.no_grad():
        expected = model.lm_head(model.model.norm(code @ model.model.layers[-1].coding.dictionary))
        with clamped(model, sites, [Clamp.parse("1/7=3")]):
            held = model(ids).logits
    torch.testing.assert_close(held, expected)


def test_a_clamp_that_keeps_the_activation_changes_no_logit(model, ids) -> None:
    with torch.no_grad():
        free = model(ids).logits
        with clamped(model, find_sites(model), [Clamp.parse("0/3*=1"), Clamp.parse("1/9+=0")]):
            assert torch.equal(model(ids).logits, free)
        assert torch.equal(model(ids).logits, free)


def test_an_earlier_place_is_not_changed_by_a_later_clamp(model, ids) -> None:
    with torch.no_grad():
        free = model(ids).logits
        with clamped(model, find_sites(model), [Clamp.parse("0/3@5=9")]):
            held = model(ids).logits
    torch.testing.assert_close(held[:, :5], free[:, :5])
    assert not torch.allclose(held[:, 5:], free[:, 5:])


def test_raised_and_lowered_tokens_are_those_of_the_two_distributions(model) -> None:
    tokenizer, sites = bytes_tokenizer(), find_sites(model)
    found = steer(model, tokenizer, sites, [Clamp.parse("0/3=9")], "the film", count=VOCABULARY)
    ids = torch.tensor([[0, *tokenizer("the film")["input_ids"]]])
    with torch.no_grad():
        before = model(ids).logits[0, -1].double().softmax(-1)
        with clamped(model, sites, [Clamp.parse("0/3=9")]):
            after = model(ids).logits[0, -1].double().softmax(-1)
    gained = [change.after - change.before for change in found.raised]
    assert gained == sorted(gained, reverse=True)
    torch.testing.assert_close(torch.tensor(sorted(gained)).double(), (after - before).sort().values)
    ratios = [change.difference for change in found.raised]
    torch.testing.assert_close(torch.tensor(sorted(ratios)).double(), (after / before).log().sort().values)
    assert found.divergence == pytest.approx(float((after * (after / before).log()).sum()), abs=1e-9)
    assert [change.token for change in found.lowered] == [change.token for change in found.raised][::-1]


@pytest.mark.parametrize("places", ["", "@0,2"])
def test_a_steered_continuation_is_what_reading_everything_again_writes(model, places) -> None:
    tokenizer, sites = bytes_tokenizer(), find_sites(model)
    clamp = Clamp.parse(f"1/5{places}+=4")
    found = steer(model, tokenizer, sites, [clamp], "a film", new_tokens=8)
    ids = torch.tensor([[0, *tokenizer("a film")["input_ids"]]])
    start = ids.shape[1]
    with torch.no_grad(), clamped(model, sites, [clamp]):
        for _ in range(8):
            ids = torch.cat([ids, model(ids, use_cache=False).logits[:, -1:].argmax(-1)], 1)
    expected = ids[0, start:].tolist()
    end = expected.index(0) + 1 if 0 in expected else len(expected)
    assert found.steered_continuation == tokenizer.decode(expected[:end])


@given(
    st.integers(0, 99),
    st.integers(0, 9999),
    st.sampled_from(["", "+", "*"]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.one_of(st.none(), st.lists(st.integers(-50, 50), min_size=1, max_size=4)),
)
def test_what_is_written_is_what_is_parsed(layer, unit, sign, value, places) -> None:
    where = "" if places is None else "@" + ",".join(map(str, places))
    clamp = Clamp.parse(f"crate/{layer}/{unit}{where}{sign}={value!r}")
    operation = {"": "set", "+": "add", "*": "scale"}[sign]
    positions = None if places is None else tuple(places)
    assert clamp == Clamp(layer=layer, unit=unit, operation=operation, value=value, positions=positions)


@pytest.mark.parametrize(
    "text", ["", "1/2", "1=2", "a/b=1", "1/2=x", "1/2=inf", "1/2=nan", "1/2@=3", "-1/2=3", "1/2-=3"]
)
def test_what_is_no_clamp_is_refused_with_an_example(text) -> None:
    with pytest.raises(InputError, match=r"1/37=8|cannot be held"):
        Clamp.parse(text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model")
    save_model(build_model("crate", ShapeConfig(width=WIDTH, heads=2, context=CONTEXT), VOCABULARY, 0, 0), path, {})
    bytes_tokenizer().save_pretrained(path)
    return path


def test_the_command_prints_one_json_with_the_damage_at_each_strength(folder, tmp_path, capsys) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the film was long\n\nthe plot was short\n\nthe actor was good")
    status = run(["steer", str(folder), "0/3=4", "--prompt", "the ", "--on", str(text), "--strengths", "0,1", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert status == 0
    assert [row["strength"] for row in found["damage"]] == [None, 0.0, 1.0]
    assert len({row["nats_per_token"]["mean"] for row in found["damage"]}) == 3


def test_the_command_clamps_the_negative_part_of_a_coordinate_as_the_unit_that_is_recorded(foreign, capsys) -> None:
    model = cratelm.load(foreign)
    half = model.sites[0].units // 2
    assert model.sites[0].signed
    assert run(["steer", str(foreign), f"0/{half + 3}=4", "--prompt", "the", "--count", "1", "--json"]) == 0
    (raised,) = json.loads(capsys.readouterr().out)["steered"]["raised"]
    with model.clamp({f"0/{half + 3}": 4}):
        assert raised["after"] == pytest.approx(dict(model.next_tokens("the", 300))[raised["token"]], rel=1e-6)
    assert raised["after"] != pytest.approx(raised["before"])


def test_control_characters_of_tokens_reach_the_terminal_as_marks(folder, capsys) -> None:
    assert run(["steer", str(folder), "1/3=50", "--prompt", "a\x1b[31m", "--count", "257"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "<U+001B>" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["9/3=1", "--prompt", "a"], "no layer 9"),
        (["0/64=1", "--prompt", "a"], "has 64 units: there is no unit 64"),
        (["0/3@7=1", "--prompt", "a"], "no place 7"),
        (["0/3=1", "--prompt", "a" * 40], "has 41 tokens, the model reads 32"),
        (["0/3@0=1", "--on", "FILE"], "leave out @PLACES"),
        (["0/3=1", "--on", "FILE", "--strengths", "1,much"], "numbers with commas"),
        (["0/3=1"], "nothing to do"),
        (["--prompt", "a"], "nothing to do"),
        (["0/3=1", "--prompt", "a", "--sites", "*.nothing"], "no site matches"),
    ],
)
def test_bad_input_is_answered_by_one_line_and_status_2(folder, tmp_path, arguments, message, capsys) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the film was long")
    arguments = [str(text) if argument == "FILE" else argument for argument in arguments]
    assert run(["steer", str(folder), *arguments]) == 2
    assert message in capsys.readouterr().err


class Router(torch.nn.Module):
    """Gives (tokens, units), as routers of experts do."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = torch.nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gate(x.flatten(0, 1))


def test_a_site_without_a_dimension_of_tokens_is_refused_and_named() -> None:
    router = Router()
    with (
        clamped(router, ["gate"], [Clamp.parse("0/1=2")]),
        pytest.raises(InputError, match=r"gate gives \(6, 4\), where units are read from outputs"),
    ):
        router(torch.ones(2, 3, 4))


@pytest.mark.parametrize("clamp", ["0/1=1e999", "0/1=nan", "0/1*=inf", "9" * 5000 + "/1=1", "0/1@" + "9" * 5000 + "=1"])
def test_a_value_that_no_activation_has_is_refused(clamp) -> None:
    with pytest.raises(InputError):
        Clamp.parse(clamp)


@pytest.mark.parametrize("clamp", [Clamp.parse("0/1=1e39"), Clamp.parse("0/1=2").times(1e300)])
def test_a_value_that_float32_does_not_have_is_refused(clamp) -> None:
    with pytest.raises(InputError, match="unit 0/1 cannot be held at"), clamped(Router(), ["gate"], [clamp]):
        pass


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A random GPT-2 of transformers' own with its tokenizer, as a folder."""
    language_models.random_gpt2().save_pretrained(tmp_path / "gpt2")
    language_models.bytes_tokenizer().save_pretrained(tmp_path / "gpt2")
    return tmp_path / "gpt2"


@pytest.mark.parametrize("value", ["1e38", "3e38"])
def test_clamps_that_overflow_the_model_are_refused_not_printed_as_nan(value, folder, capsys) -> None:
    asked = ["steer", str(folder), f"0/1={value}", f"0/2={value}", "--prompt", "the", "--json"]
    assert run(asked) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "is not a finite number. Give smaller values." in shown.err


def test_a_model_with_weights_that_are_not_finite_is_refused(foreign, capsys) -> None:
    model = language_models.random_gpt2()
    with torch.no_grad():
        model.transformer.h[0].mlp.c_fc.weight[0, 0] = float("nan")
    model.save_pretrained(foreign)
    assert run(["steer", str(foreign), "0/1=2", "--prompt", "the", "--json"]) == 2
    assert "its weights are damaged" in capsys.readouterr().err


@pytest.mark.parametrize("strengths", ["nan", "inf,1", "1e400", "x", ""])
def test_strengths_that_are_no_numbers_are_refused(strengths, foreign, capsys) -> None:
    assert run(["steer", str(foreign), "0/1=2", "--on", "a.txt", "--strengths", strengths]) == 2
    assert "give numbers with commas between them" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_layer", -1),
        ("n_layer", 0),
        ("n_layer", 1_000_000),
        ("n_layer", "2"),
        ("n_embd", -16),
        ("n_embd", 32),
        ("n_head", 2.5),
        ("n_head", 3),
        ("vocab_size", 2**40),
        ("n_positions", True),
        ("activation_function", "no such"),
    ],
)
def test_a_config_json_that_makes_no_sense_is_refused_at_once(name, value, foreign, capsys) -> None:
    config = json.loads((foreign / "config.json").read_text())
    (foreign / "config.json").write_text(json.dumps(config | {name: value}))
    assert run(["steer", str(foreign), "0/1=2", "--prompt", "the"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "report" not in line


@pytest.mark.parametrize("text", ["[]", "null", "{", "", "[" * 100_000])
def test_a_config_json_that_is_no_object_is_refused(text, foreign, capsys) -> None:
    (foreign / "config.json").write_text(text)
    assert run(["steer", str(foreign), "0/1=2", "--prompt", "the"]) == 2
    assert "config.json is damaged" in capsys.readouterr().err


def test_a_text_goes_on_past_its_first_end_only_where_that_is_asked_for(model) -> None:
    tokenizer, sites = bytes_tokenizer(), find_sites(model)
    ids = read_prompt(model, tokenizer, "a film")
    forget_generation_settings(model)  # as of every model that is loaded
    ended = 0
    for seed in range(60):
        on = continue_text(model, tokenizer, sites, [], ids, 20, Writing(100.0, seed, past_end=True))
        first = continue_text(model, tokenizer, sites, [], ids, 20, Writing(100.0, seed))
        assert on.startswith(first)
        ended += on != first
        assert (on != first) == (END_OF_TEXT in on and not on.endswith(first))
    assert ended


def test_drawing_leaves_random_numbers_of_others_as_they_were_and_follows_the_models_probabilities(model) -> None:
    tokenizer, sites = bytes_tokenizer(), find_sites(model)
    ids = read_prompt(model, tokenizer, "a film")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    drawn = [continue_text(model, tokenizer, sites, [], ids, 1, Writing(1.0, seed, True)) for seed in range(300)]
    torch.testing.assert_close(torch.rand(3), expected)
    likely = dict(next_words(model, tokenizer, "a film", VOCABULARY))
    token, share = max(likely.items(), key=lambda pair: pair[1])
    assert abs(drawn.count(token) / 300 - share) < 4 * (share * (1 - share) / 300) ** 0.5 + 0.01
