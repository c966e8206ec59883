"""What the theory speaks of, against its formulas written out over single tokens."""

import csv
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from cratelm.analysis.analyze import analyze, measure
from cratelm.analysis.config import AnalysisConfig
from cratelm.analysis.observe import observe
from cratelm.analysis.parts import layer_parts
from cratelm.analysis.rates import coding_rate, orthonormal, subspace_overlap, subspace_rates
from cratelm.analysis.sparsity import coherence, hoyer, largest_eigenvalue, lasso, solve_lasso
from cratelm.artifacts import Artifact, open_artifact
from cratelm.cli import run
from cratelm.models.build import build_model
from cratelm.shapes import ShapeConfig
from tests.formulas import attend, linear, norm, sparse_code

SHAPE = ShapeConfig(layers=2, width=16, heads=2, context=24)
EPSILON = 0.5


def unit_tokens(count: int, width: int, seed: int = 0) -> torch.Tensor:
    tokens = torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return tokens / tokens.norm(dim=1, keepdim=True)


def test_a_coding_rate_is_the_log_volume_over_the_tokens_themselves() -> None:
    z = unit_tokens(7, 5).T  # (d, N), as the paper writes it
    d, n = z.shape
    expected = 0.5 * torch.logdet(torch.eye(n) + d / (n * EPSILON**2) * z.T @ z)
    assert coding_rate(z @ z.T / n, EPSILON) == pytest.approx(expected.item())


def test_compression_is_the_rate_of_the_coordinates_in_each_subspace() -> None:
    z = unit_tokens(9, 6).T
    bases = orthonormal(torch.randn(6, 6, generator=torch.Generator().manual_seed(1)), heads=3)  # (3, 6, 2)
    n, p = z.shape[1], bases.shape[2]
    expected = []
    for basis in bases:
        w = basis.T @ z
        expected.append(0.5 * torch.logdet(torch.eye(n) + p / (n * EPSILON**2) * w.T @ w).item())
    assert subspace_rates(z @ z.T / n, bases, EPSILON) == pytest.approx(expected)


def test_tokens_in_one_direction_are_cheap_and_spread_tokens_dear() -> None:
    one = unit_tokens(1, 8).T.expand(8, 50)
    spread = unit_tokens(50, 8).T
    assert coding_rate(one @ one.T / 50, EPSILON) < 0.5 * coding_rate(spread @ spread.T / 50, EPSILON)


def test_bases_are_orthonormal_and_span_the_slices() -> None:
    weight = torch.randn(8, 8, generator=torch.Generator().manual_seed(2))
    bases = orthonormal(weight, heads=2)
    for head, basis in enumerate(bases):
        torch.testing.assert_close(basis.T @ basis, torch.eye(4, dtype=torch.float64))
        rows = weight[4 * head : 4 * head + 4].double().T  # (d, p)
        torch.testing.assert_close(basis @ basis.T @ rows, rows)


def test_subspaces_overlap_from_nothing_to_wholly() -> None:
    same = torch.eye(4)[:2].repeat(2, 1)
    assert subspace_overlap(orthonormal(torch.eye(4), 2)) == pytest.approx(0)
    assert subspace_overlap(orthonormal(same, 2)) == pytest.approx(1)
    random = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    assert subspace_overlap(orthonormal(random, 16)) == pytest.approx(4 / 64, abs=0.01)
    assert math.isnan(subspace_overlap(orthonormal(torch.eye(4), 1)))


@settings(max_examples=50)
@given(st.lists(st.floats(0, 10, allow_subnormal=False), min_size=2, max_size=6).filter(any), st.floats(0.1, 9))
def test_hoyer_lies_between_all_alike_and_one_alone_and_forgets_the_scale(values, scale) -> None:
    code = torch.tensor(values, dtype=torch.float64)
    found = hoyer(code).item()
    root = math.sqrt(len(values))
    expected = (root - sum(values) / math.sqrt(sum(v * v for v in values))) / (root - 1)
    assert found == pytest.approx(expected, abs=1e-9)
    assert -1e-9 <= found <= 1 + 1e-9
    assert hoyer(scale * code).item() == pytest.approx(found, abs=1e-6)


def test_hoyer_of_a_silent_code_does_not_exist() -> None:
    assert hoyer(torch.zeros(4)).isnan()


def test_the_lasso_is_solved_as_scipy_solves_it() -> None:
    generator = torch.Generator().manual_seed(0)
    dictionary = torch.randn(7, 4, generator=generator, dtype=torch.float64)
    x = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    threshold = torch.tensor(0.3, dtype=torch.float64)
    found = lasso(x, solve_lasso(x, dictionary, threshold, steps=5000), dictionary, threshold)
    for row, value in zip(x.numpy(), found, strict=True):

        def objective(code: np.ndarray, row: np.ndarray = row) -> float:
            return ((row - code @ dictionary.numpy()) ** 2).sum() / 2 + 0.3 * np.abs(code).sum()

        best = minimize(objective, np.full(7, 0.1), bounds=[(0, None)] * 7, options={"maxiter": 10_000})
        assert value.item() == pytest.approx(best.fun, abs=1e-5)


def test_coherence_is_the_largest_cosine_and_welch_bounds_it() -> None:
    atoms = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    found = coherence(atoms)
    assert found["coherence"] == pytest.approx(math.sqrt(0.5))
    assert found["mean_cosine"] == pytest.approx(2 * math.sqrt(0.5) / 3)
    three = torch.tensor([[1.0, 0.0], [-0.5, math.sqrt(3) / 2], [-0.5, -math.sqrt(3) / 2]])
    assert coherence(three)["coherence"] == pytest.approx(coherence(three)["welch_bound"])  # the bound is reached
    assert largest_eigenvalue(torch.diag(torch.tensor([3.0, 2.0]))) == pytest.approx(9)


def crate_states(w: dict[str, torch.Tensor], ids: torch.Tensor) -> list[list[torch.Tensor]]:
    """Of one sequence, by layer: Z, Z', LN(Z') and the two codes; at last the stream behind the last layer."""
    z, states = w["model.embed_tokens.weight"][ids] + w["model.embed_positions.weight"][: len(ids)], []
    for layer in range(SHAPE.layers):
        h = f"model.layers.{layer}."
        u = linear(norm(z, w, h + "attention_norm"), w, h + "attention.subspace_proj")
        between = z + linear(attend(u, u, u, SHAPE.heads), w, h + "attention.output_proj")
        x, dictionary = norm(between, w, h + "coding_norm"), w[h + "coding.dictionary"]
        codes = sparse_code(x, dictionary, 0.1, 0.1, steps=2)
        states.append([z, between, x, *codes])
        z = codes[-1] @ dictionary
    return [*states, [z]]


def test_what_is_observed_in_crate_is_what_its_formulas_give_token_by_token() -> None:
    model = build_model("crate", SHAPE, 61, 0, seed=3).eval()
    ids = torch.randint(61, (3, 20), generator=torch.Generator().manual_seed(0))
    layers, final = observe(model, iter([ids[:1], ids[1:]]), sample=10, advance=lambda tokens: None)
    sequences = [crate_states(model.state_dict(), row) for row in ids]
    *by_layer, last = [
        [torch.cat([part[1:] for part in parts]).double() for parts in zip(*of_layer, strict=True)]
        for of_layer in zip(*sequences, strict=True)
    ]  # all tokens but the start tokens, (57, …) each

    def moment(stream: torch.Tensor) -> torch.Tensor:
        unit = stream / stream.norm(dim=-1, keepdim=True)
        return unit.T @ unit

    close = {"atol": 1e-4, "rtol": 1e-4}
    for sums, (before, between, x, first, second) in zip(layers, by_layer, strict=True):
        torch.testing.assert_close(sums.second_moments["before"], moment(before), **close)
        torch.testing.assert_close(sums.second_moments["between"], moment(between), **close)
        assert sums.tokens == 3 * 19
        assert sums.active == (second > 0).sum().item()
        dictionary = sums.parts.coding.dictionary.detach().double()
        objectives = [
            ((x - code @ dictionary) ** 2).sum().item() / 2 + 0.1 * code.sum().item()
            for code in (torch.zeros_like(first), first, second)
        ]
        assert sums.objectives == pytest.approx(objectives, rel=1e-4)
        torch.testing.assert_close(sums.inputs.double(), x[:10], **close)
    torch.testing.assert_close(final, moment(last[0]), **close)


@pytest.mark.parametrize("name", ["crate", "crate-alpha", "crate-complete", "crate-learned", "gpt2", "gpt2-mssa"])
def test_every_architecture_of_ours_has_its_parts(name: str) -> None:
    model = build_model(name, SHAPE, 61, 0, seed=0)
    for parts in layer_parts(model):
        assert parts.projection.shape == (16, 16)
        assert parts.atoms.shape == ((16 if name == "crate-complete" else 64), 16)
        assert (parts.coding is None) == name.startswith("gpt2")


def test_a_trained_model_is_analysed_beside_the_untrained_one(study, tmp_path, quiet) -> None:
    model, tokens = open_artifact(study / "models" / "crate", "model"), open_artifact(study / "tokens", "tokens")
    folder = analyze(AnalysisConfig(tokens=2000), model, tokens, tmp_path / "a", quiet).path
    rows = json.loads((folder / "analysis.json").read_text())["rows"]
    assert [(row["weights"], row["layer"]) for row in rows] == [
        ("trained", 0),
        ("trained", 1),
        ("untrained", 0),
        ("untrained", 1),
    ]
    for row in rows:
        assert row["tokens"] > 1000
        assert row["compression_before"] == pytest.approx(sum(row["compression_before_by_head"]))
        assert 0 < row["active_share"] < 1
        assert row["objectives"][0] > row["objectives"][2] > 0
        assert 0 < row["objective_reached"] <= 1
    assert rows[0]["rate_after"] == rows[1]["rate_before"]
    with (folder / "analysis.csv").open(newline="") as file:
        assert [float(row["hoyer"]) for row in csv.DictReader(file)] == [row["hoyer"] for row in rows]
    assert (folder / "analysis.svg").read_text().startswith("<svg")
    again = analyze(AnalysisConfig(tokens=2000), model, tokens, tmp_path / "b", quiet)
    assert again.manifest["outputs"] == open_artifact(folder, "analysis").manifest["outputs"]


def test_the_command_prints_a_table_and_refuses_what_it_does_not_know(
    study, folder, corpus_file, tmp_path, capsys
) -> None:
    asked = ["analyze", str(study / "models" / "gpt2"), "--text", str(study / "tokens"), "--out", str(tmp_path / "a")]
    assert run([*asked, "--tokens", "1000"]) == 0
    assert "untrained" in capsys.readouterr().out
    assert run([*asked, "--tokens", "0"]) == 2
    assert run(["analyze", str(folder), "--text", str(corpus_file), "--out", str(tmp_path / "b")]) == 2
    assert "no subspaces or dictionaries that are known here" in capsys.readouterr().err


def spoiled(folder: Path, tokens: Artifact, name: str, value: float) -> Path:
    """A CRATE with one weight, or all of a dictionary, of that value."""
    model = build_model("crate", SHAPE, 300, 0, seed=3)
    with torch.no_grad():
        weight = model.get_parameter(name)
        weight.fill_(value) if name.endswith("dictionary") else weight[0].fill_(value)
    model.save_pretrained(folder)
    shutil.copyfile(tokens.path / "tokenizer.json", folder / "tokenizer.json")
    return folder


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["model.layers.1.coding.dictionary", "model.norm.weight"])
def test_a_model_whose_weights_are_not_finite_is_refused(name, value, tokens, tmp_path, capsys) -> None:
    folder = spoiled(tmp_path / "model", tokens, name, value)
    asked = ["analyze", str(folder), "--text", str(tokens.path), "--out", str(tmp_path / "a"), "--tokens", "1000"]
    assert run([*asked, "--json"]) == 2
    said = capsys.readouterr()
    assert "the model's weights are not finite numbers" in " ".join(said.err.split()) and said.out == ""
    assert not (tmp_path / "a").exists()


def test_numbers_beyond_float32_are_null_or_the_model_is_refused(tokens, tmp_path, capsys) -> None:
    folder = spoiled(tmp_path / "model", tokens, "model.layers.1.coding.dictionary", 1e30)
    asked = ["analyze", str(folder), "--text", str(tokens.path), "--out", str(tmp_path / "a"), "--tokens", "1000"]
    status, said = run([*asked, "--json"]), capsys.readouterr()
    if status == 0:
        json.loads(said.out, parse_constant=pytest.fail)
    else:
        assert status == 2 and "do not fit float32" in " ".join(said.err.split())


def test_a_code_that_cannot_be_better_than_nothing_has_no_share_of_the_way_to_the_best(tokens, quiet) -> None:
    model = build_model("crate+ista_threshold=1000", SHAPE, 300, 0, seed=3).eval()
    rows = measure(model, AnalysisConfig(tokens=1000), tokens, 0, quiet)
    assert [row["objective_reached"] for row in rows] == [None, None]
    assert all(row["objectives"][0] == row["objectives"][2] for row in rows)
