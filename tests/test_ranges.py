"""Numbers and types of settings: what is out of range is refused, the setting named, wherever it comes from."""

import math
from dataclasses import fields

import pytest

from cratelm.cli import run
from cratelm.errors import InputError
from cratelm.presets import StudyConfig
from cratelm.ranges import Configuration, field_hints
from cratelm.shapes import ShapeConfig
from cratelm.training.config import TrainingConfig
from tests.options import numeric_options, plain, typed_options

NEEDED = {
    "agree": ["a", "b"],
    "demo": [],
    "analyze": ["a", "--text", "t", "--out", "o"],
    "eval": ["a", "--on", "t"],
    "explain": ["a", "--out", "o"],
    "export": ["a", "--format", "neuronpedia", "--out", "o"],
    "effects": ["m", "--records", "r", "--explanations", "e", "--out", "o"],
    "why": ["m", "0/1", "--text", "t"],
    "match": ["a", "b", "--text", "t", "--out", "o"],
    "measure": ["a", "--out", "o"],
    "record": ["a", "--text", "t", "--out", "o"],
    "sae": ["a", "--text", "t", "--out", "o"],
    "score": ["a", "--explanations", "e", "--out", "o"],
    "show": ["a", "0/1"],
    "steer": ["a", "0/1=1", "--prompt", "p"],
    "study": ["--out", "o"],
    "tokenize": ["--out", "o"],
    "train": ["--tokens", "t"],
    "validate": ["table"],
    "view": ["a"],
}


def configurations(kind: type = Configuration) -> list[type]:
    found = [kind, *(deeper for below in kind.__subclasses__() for deeper in configurations(below))]
    return [one for one in found if one is not Configuration and one.__module__.startswith("cratelm")]


def test_every_number_of_every_configuration_and_command_has_a_range() -> None:
    assert len(configurations()) > 10
    without = [
        f"{kind.__name__}.{name}"
        for kind in configurations()
        for name, hint in field_hints(kind).items()
        if plain(hint)[0] in (int, float) and plain(hint)[1] is None
    ]
    without += [
        f"{command} {name}" for command, name, kind, limits in typed_options() if kind in (int, float) and not limits
    ]
    assert without == []


@pytest.mark.slow
def test_no_number_outside_its_range_is_taken_by_any_option(capsys) -> None:
    options = numeric_options()
    assert len(options) > 60
    for command, name, limits in options:
        for value in (limits.least - (1 if limits.kind is int else 1e-3), limits.most * 2 + 1):
            require_refused(command, name, value, capsys)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "9" * 5000, "x", "", "2.9.1"])
def test_what_is_no_number_is_taken_by_no_option(value, capsys) -> None:
    for name in ("--shape.layers", "--training.warmup", "--seed", "--training.at-once"):
        require_refused("train", name, value, capsys)


def require_refused(command: str, name: str, value: object, capsys) -> None:
    assert run([command, *NEEDED.get(command, []), f"{name}={value}"]) == 2, (command, name, value)
    (line,) = capsys.readouterr().err.splitlines()
    assert name in line


def test_a_share_of_a_whole_number_is_no_whole_number(capsys) -> None:
    assert run(["study", "--out", "o", "--shape.layers", "2.9"]) == 2
    assert "--shape.layers: '2.9' is not a whole number" in capsys.readouterr().err


@pytest.mark.parametrize("kind", configurations(), ids=lambda kind: kind.__name__)
def test_python_is_refused_what_the_command_line_is(kind) -> None:
    for name, hint in field_hints(kind).items():
        if (limits := plain(hint)[1]) is None:
            continue
        wrong = [limits.least - 1, limits.most * 2 + 1, math.nan, math.inf, True, "1", [1], 10**5000]
        wrong += [limits.least + 0.5] if limits.kind is int else []
        for value in wrong:
            others = {} if name == "format" or "format" not in field_hints(kind) else {"format": "neuronpedia"}
            with pytest.raises(InputError, match=rf"{kind.__name__}\.{name} is"):
                kind(**{name: value}, **others)


def test_a_number_at_the_end_of_its_range_is_taken() -> None:
    assert ShapeConfig(layers=1000).layers == 1000
    assert TrainingConfig(warmup=0).warmup == 0
    with pytest.raises(InputError, match="below 1"):
        TrainingConfig(warmup=1)


def test_every_configuration_checks_its_own_fields() -> None:
    for kind in configurations():
        own = kind.__dict__.get("__post_init__")
        assert own is None or "super" in own.__code__.co_names, kind
        assert fields(kind)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shape = 5", "shape is 5; it must be a table"),
        ("[shape]\nlayers = 2.9", "shape.layers is 2.9; it must be a whole number"),
        ('[shape]\nlayers = "2"', "shape.layers is '2'"),
        ("[shape]\nlayers = true", "shape.layers is True"),
        ("[shape]\nlayers = [2]", "shape.layers is [2]"),
        ("[training.batch]\nx = 1", "training.batch is {'x': 1}"),
        ("[training]\nlearning_rate = nan", "training.learning_rate is nan"),
        ("[training]\nbatchh = 3", "there is no setting 'training.batchh'. Did you mean training.batch?"),
        ("[score]\nseed = -1", "score.seed is -1"),
        ('documents = "many"', "documents is 'many'"),
        ('models = ["crate"]', "models is ['crate']; it must be text"),
        ("sae = 1", "sae is 1; it must be true or false"),
        ("corpus = 1979-05-27", "corpus is datetime.date(1979, 5, 27); it must be text"),
        ('[training]\nprecision = "fp8"', "training.precision is 'fp8'; it must be one of auto"),
        ("seed = 99999999999999999999", "seed is 99999999999999999999"),
        (f"seed = {'9' * 5000}", "cannot read the settings"),
        (f"seed = {'[' * 5000}", "brackets are nested too deeply"),
        ("seed = ", "cannot read the settings"),
    ],
)
def test_a_value_of_a_toml_file_that_is_not_of_its_settings_type_is_named(text, message, tmp_path, capsys) -> None:
    (tmp_path / "a.toml").write_text(text)
    out = tmp_path / "out"
    assert run(["study", "--preset", "smoke", "--out", str(out), "--config", str(tmp_path / "a.toml")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not out.exists()


def test_a_table_of_settings_is_no_number() -> None:
    with pytest.raises(InputError, match=r"StudyConfig\.shape is 5; it must be a table of settings \(layers"):
        StudyConfig(shape=5)  # type: ignore[bad-argument-type]


def test_the_range_is_shown_in_the_help(capsys) -> None:
    run(["view", "--help"])
    assert "0 or more, at most 65,535" in " ".join(capsys.readouterr().out.replace("│", " ").split())


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (["--score.metric", "random-only"], "compares by anthropic, top-and-random"),
        (["--explain.explainer", "table"], "compares by graph"),
        (["--explain.explainer", "table,graph,llm"], "leave llm out"),
    ],
)
def test_a_study_that_its_report_could_not_compare_is_refused_before_anything_is_made(setting, said, tmp_path, capsys):
    assert run(["study", "--preset", "smoke", *setting, "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
