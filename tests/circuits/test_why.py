"""`cratelm why`: what a person reads, what a program reads, and what is refused."""

import json

import pytest

from cratelm.circuits.tape import Tape
from cratelm.cli import run
from cratelm.interface.loaded_model import load
from cratelm.units.steer import read_prompt

TEXT = "the film was good"


def why(*arguments: str) -> int:
    return run(["why", *arguments, "--text", TEXT])


def test_a_unit_is_explained_in_lines_whose_shares_add_up(study, capsys) -> None:
    assert why(str(study / "models" / "crate"), "1/3") == 0
    first, *rest = [line for line in capsys.readouterr().out.splitlines() if line]
    assert first.startswith("1/3 on ") and "pre-activation" in first
    assert any("all others" in line for line in rest) and any("constant" in line for line in rest)
    assert "attention weights, norms and gates held" in " ".join(rest)


def test_it_is_said_why_shares_have_the_opposite_sign_below_a_negative_whole_and_there_alone(study, capsys) -> None:
    seen = set()
    for unit in range(12):
        assert why(str(study / "models" / "crate"), f"1/{unit}") == 0
        lines = capsys.readouterr().out.splitlines()
        value = float(lines[0].rpartition("pre-activation ")[2])
        assert ("is negative, what takes from it has a positive share" in lines[-1]) == (value < 0)
        shares = [line.split() for line in lines[1:-1] if line.strip().startswith("█")]
        assert all(share.startswith("-") == (value < 0) for _, share, *_ in shares)
        seen.add(value < 0)
    assert seen == {True, False}


@pytest.mark.parametrize(("depth", "said"), [("1", False), ("2", True)])
def test_whose_share_it_is_further_down_is_said_where_there_is_a_further_down(study, capsys, depth, said) -> None:
    assert why(str(study / "models" / "crate"), "1/3", "--depth", depth) == 0
    assert ("Below a contributor they are of its own pre-activation." in capsys.readouterr().out) == said


@pytest.mark.parametrize("model", ["crate", "gpt2"])
@pytest.mark.parametrize("target", ["1/3", "crate/0/2", "next"])
def test_json_holds_contributions_that_add_up_to_the_value(study, capsys, model, target) -> None:
    assert why(str(study / "models" / model), target, "--json", "--depth", "2", "--at", "2") == 0
    found = json.loads(capsys.readouterr().out)
    for trace in found["traces"]:
        total = sum(edge["contribution"] for edge in trace["contributors"]) + trace["others"] + trace["constant"]
        assert total == pytest.approx(trace["value"], rel=1e-4, abs=1e-5)
    assert found["target"]["position"] == 2 and len(found["tokens"]) > 3


@pytest.mark.parametrize("ending", ["json", "graphml"])
def test_a_graph_is_written_beside_what_is_printed(study, tmp_path, ending) -> None:
    file = tmp_path / f"graph.{ending}"
    assert why(str(study / "models" / "crate"), "next", "--depth", "2", "--graph", str(file)) == 0
    assert file.stat().st_size > 500


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["1/99999"], "there is no unit 99999"),
        (["7/1"], "there is no layer 7"),
        (["film"], "neither a unit nor a next token"),
        (["1/1", "--at", "99"], "there is no position 99"),
        (["1/1", "--against", "a"], "for a next token"),
        (["next= the film was"], "tokens of this model"),
        (["1/1", "--graph", "graph.png"], "ends in .json or .graphml"),
        (["1/1", "--sites", "*.coding_norm"], "not a single sum"),
    ],
)
def test_bad_input_is_refused_in_one_line(study, capsys, arguments, said) -> None:
    assert why(str(study / "models" / "crate"), *arguments) == 2
    error = capsys.readouterr().err
    assert said in " ".join(error.split()) and "Traceback" not in error


@pytest.mark.parametrize("model", ["crate", "gpt2"])
def test_what_comes_through_heads_and_by_no_attention_is_the_whole(model, study, capsys) -> None:
    assert why(str(study / "models" / model), "1/3", "--heads", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {(part["attention"], part["head"]) for part in found["heads"]} <= {(a, h) for a in (0, 1) for h in (0, 1)}
    network = load(study / "models" / model)
    ids = read_prompt(network.network, network.tokenizer, TEXT)[0]
    tape = Tape.of(network.network, [site.name for site in network.sites], ids)
    # What comes by no attention is what the derivatives leave when attention puts out nothing.
    flow = tape.flow(tape.before[1][0, -1, 3])
    by_attention = sum(float((flow.attention[n] * tape.heads[n][0].detach()).sum()) for n in flow.attention)
    assert sum(part["contribution"] for part in found["heads"]) == pytest.approx(by_attention, abs=1e-4)
    assert why(str(study / "models" / model), "1/3", "--heads") == 0
    assert "By the last attention head on the way" in capsys.readouterr().out
