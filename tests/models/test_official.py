"""Official checkpoints come in and go out, tensor for tensor."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cratelm.cli import run
from cratelm.errors import InputError
from cratelm.models.load import load_causal_lm
from cratelm.models.official import export_official, import_official
from cratelm.models.save import save_model
from tests.formulas import Tensors, gelu, gelu_new, official_logits

V, D, LAYERS, HEADS, T = 61, 24, 2, 3, 16
ARGUMENTS = {
    "n_layer": LAYERS, "n_head": HEADS, "n_embd": D, "block_size": T, "bias": False, "vocab_size": V, "dropout": 0.0,
}  # fmt: skip


def official(kind: str) -> Tensors:
    """Random tensors with the names and shapes of an official checkpoint: `crate`, `gpt` or `gpt with biases`."""
    torch.manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {"transformer.wte.weight": (V, D), "transformer.wpe.weight": (T, D)}
    norms = ["transformer.ln_f"]
    for i in range(LAYERS):
        h = f"transformer.h.{i}."
        shapes[h + "attn.c_proj.weight"] = (D, D)
        if kind == "crate":
            norms += [h + "prenorm_1", h + "prenorm_2"]
            shapes |= {h + "attn.c_attn.weight": (D, D), h + "attn.c_proj.bias": (D,), h + "ista.weight": (4 * D, D)}
        else:
            norms += [h + "ln_1", h + "ln_2"]
            linears = {"attn.c_attn": (3 * D, D), "mlp.c_fc": (4 * D, D), "mlp.c_proj": (D, 4 * D)}
            shapes |= {f"{h}{name}.weight": shape for name, shape in linears.items()}
            if kind == "gpt with biases":
                shapes |= {f"{h}{name}.bias": shape[:1] for name, shape in linears.items()}
                shapes[h + "attn.c_proj.bias"] = (D,)
    for name in norms:
        shapes[name + ".weight"] = (D,)
        if kind != "gpt":
            shapes[name + ".bias"] = (D,)
    tensors = {name: torch.randn(shape) * 0.3 for name, shape in shapes.items()}
    return tensors | {"lm_head.weight": tensors["transformer.wte.weight"]}


def saved(tensors: Tensors, path: Path, kind: str, **arguments) -> Path:
    model_args = ARGUMENTS | {"bias": kind == "gpt with biases"} | arguments
    torch.save({"model": tensors, "model_args": model_args, "optimizer": {}, "iter_num": 7}, path)
    return path


FORMULAS = {"relu": torch.relu, "gelu": gelu, "gelu_new": gelu_new}
KINDS = [("crate", None), *((kind, name) for kind in ("gpt", "gpt with biases") for name in FORMULAS)]


@pytest.mark.parametrize("prefix", ["", "_orig_mod."])
@pytest.mark.parametrize(("kind", "activation"), KINDS)
def test_an_imported_checkpoint_has_the_logits_of_the_formulas(kind, activation, prefix, tmp_path) -> None:
    tensors = official(kind)
    path = saved({prefix + name: tensor for name, tensor in tensors.items()}, tmp_path / "ckpt.pt", kind)
    ids = torch.randint(0, V, (T,))
    expected = official_logits(tensors, ids, LAYERS, HEADS, FORMULAS.get(activation, torch.relu))
    assert expected.std() > 0.3
    ours = import_official(path, activation).eval()(ids[None]).logits[0]
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
    save_model(import_official(path, activation), tmp_path / "model", {})
    torch.testing.assert_close(
        load_causal_lm(tmp_path / "model").eval()(ids[None]).logits[0], expected, atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize(
    ("kind", "activation", "message"),
    [
        ("gpt", (), "does not say which activation it was trained with. Give --activation NAME: relu, the official"),
        ("gpt", ("--activation", "swish"), "--activation swish is not known here. Give one of: relu"),
        ("gpt", ("--activation", "topk"), "--activation topk is not known here. Give one of: relu"),
        ("crate", ("--activation", "relu"), "holds a CRATE"),
    ],
)
def test_an_activation_that_cannot_be_told_is_asked_for(kind, activation, message, tmp_path, capsys) -> None:
    path = str(saved(official(kind), tmp_path / "a.pt", kind))
    assert run(["import", path, str(tmp_path / "model"), *activation]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    "change", [{"n_kv_head": 1}, {"rotary": True}, {"n_layer": "two"}, {"n_head": 5}, {"n_embd": -1}]
)
def test_model_args_that_would_change_the_model_are_refused(change, tmp_path) -> None:
    with pytest.raises(InputError, match="model_args"):
        import_official(saved(official("gpt"), tmp_path / "a.pt", "gpt", **change), "relu")


@pytest.mark.parametrize("kind", ["crate", "gpt", "gpt with biases"])
def test_in_and_out_again_gives_every_tensor_back(kind, tmp_path) -> None:
    tensors = official(kind)
    path = str(saved(tensors, tmp_path / "in.pt", kind))
    told = [] if kind == "crate" else ["--activation", "relu"]
    assert run(["import", path, str(tmp_path / "model"), *told]) == 0
    assert run(["import", str(tmp_path / "model"), str(tmp_path / "out.pt"), "--to-official"]) == 0
    again = torch.load(tmp_path / "out.pt", weights_only=True)
    assert again["model"].keys() == tensors.keys()
    assert all(torch.equal(again["model"][name], tensor) for name, tensor in tensors.items())
    assert again["model_args"] == ARGUMENTS | {"bias": kind == "gpt with biases"}


def test_a_causal_mask_stored_as_a_buffer_is_no_weight(tmp_path) -> None:
    mask = {f"transformer.h.{i}.attn.bias": torch.ones(T, T).tril()[None, None] for i in range(LAYERS)}
    model = import_official(saved(official("gpt") | mask, tmp_path / "a.pt", "gpt"), "relu")
    assert sum(parameter.numel() for parameter in model.parameters()) == sum(
        tensor.numel() for name, tensor in official("gpt").items() if name != "lm_head.weight"
    )


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda w: w.pop("transformer.h.1.ista.weight"), r"lacks model\.layers\.1\.coding\.dictionary"),
        (lambda w: w.update({"transformer.h.1.gate": torch.ones(2)}), r"unknown transformer\.h\.1\.gate"),
        (
            lambda w: w.update({"transformer.h.0.ista.weight": torch.ones(D, D)}),
            r"model\.layers\.0\.coding\.dictionary has the shape \(24, 24\), not \(96, 24\)",
        ),
        (lambda w: w.update({"lm_head.weight": torch.ones(V, D)}), "its head differs from its token embedding"),
        (lambda w: w.pop("lm_head.weight"), r"lacks lm_head\.weight"),
        (lambda w: w.pop("transformer.wte.weight"), r"lacks transformer\.wte\.weight"),
        (lambda w: w.update({"transformer.h.0.attn.bias": torch.ones(2)}), r"unknown transformer\.h\.0\.attn\.bias"),
        (lambda w: w.update({"transformer.wpe.weight": 3}), r"transformer\.wpe\.weight is not a tensor"),
        (lambda w: w.update({"transformer.h.0.attn.bias": torch.ones(1, 1, T, T)}), "the mask .* is not causal"),
        (
            lambda w: w.update({"transformer.wpe.weight": torch.ones(T, D, dtype=torch.int8)}),
            r"transformer\.wpe\.weight is of torch\.int8",
        ),
        (lambda w: w.update({"_orig_mod.transformer.wpe.weight": torch.ones(T, D)}), "holds .* twice"),
        (lambda w: w.update({"transformer.h.0.attn.bias": torch.ones(0, 1, T, T)}), "the mask .* is not causal"),
        (lambda w: w.update({"transformer.wpe.weight": torch.ones(T, D).to("meta")}), "without its numbers"),
        (lambda w: w.update({"transformer.wpe.weight": torch.ones(T, D).to_sparse()}), "or sparsely"),
        (lambda w: w["transformer.wpe.weight"][3].fill_(torch.nan), "embed_positions.weight holds .* not finite"),
    ],
)
def test_a_tensor_that_is_missing_unknown_or_misshaped_is_named(harm, message, tmp_path) -> None:
    tensors = official("crate")
    harm(tensors)
    with pytest.raises(InputError, match=message):
        import_official(saved(tensors, tmp_path / "a.pt", "crate"))


class Hostile:
    """A pickle that runs a command when it is loaded."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_pickle_with_code_is_refused_and_runs_nothing(tmp_path) -> None:
    with (tmp_path / "a.pt").open("wb") as file:
        pickle.dump({"model": Hostile(tmp_path / "ran"), "model_args": {}}, file)
    torch.save({"model": Hostile(tmp_path / "ran"), "model_args": {}}, tmp_path / "b.pt")
    for name in ("a.pt", "b.pt"):
        with pytest.raises(InputError, match=f"{name} cannot be read as a checkpoint of tensors alone"):
            import_official(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_the_advice_to_load_a_pickle_with_code_does_not_reach_the_user(save, tmp_path, capsys) -> None:
    content = {"model": Hostile(tmp_path / "ran"), "model_args": {}}
    save(content, tmp_path / "a.pt")
    with pytest.raises(Exception, match="weights_only"):
        torch.load(tmp_path / "a.pt", weights_only=True)
    assert run(["import", str(tmp_path / "a.pt"), str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert "weights_only" not in said.err + said.out
    assert "it asks for more than tensors (it could run code), and was not loaded" in " ".join(said.err.split())


def test_what_is_no_checkpoint_is_named(tmp_path) -> None:
    whole = saved(official("crate"), tmp_path / "whole.pt", "crate").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save({"weights": torch.ones(2)}, tmp_path / "other.pt")
    saved(official("crate"), tmp_path / "sizes.pt", "crate")
    torch.save({"model": official("crate"), "model_args": {"n_layer": 2}}, tmp_path / "sizes.pt")
    cases = {
        "cut.pt": "tensors alone",
        "empty.pt": "tensors alone",
        "other.pt": "no `model`",
        "none.pt": "no such file",
    }
    for name, message in (cases | {"sizes.pt": "model_args has no 'vocab_size'"}).items():
        with pytest.raises(InputError, match=f"{name}.*{message}"):
            import_official(tmp_path / name)


def test_the_command_refuses_a_place_that_is_taken(tmp_path, capsys) -> None:
    (tmp_path / "model").mkdir()
    assert run(["import", str(saved(official("crate"), tmp_path / "a.pt", "crate")), str(tmp_path / "model")]) == 2
    assert "exists" in capsys.readouterr().err


def test_an_exported_model_of_ours_has_the_formulas_logits(tmp_path) -> None:
    model = import_official(saved(official("crate"), tmp_path / "a.pt", "crate"))
    model.save_pretrained(tmp_path / "model")
    export_official(load_causal_lm(tmp_path / "model"), tmp_path / "out.pt")
    ids = torch.arange(T)
    expected = official_logits(torch.load(tmp_path / "out.pt")["model"], ids, LAYERS, HEADS)
    torch.testing.assert_close(model.eval()(ids[None]).logits[0], expected, atol=1e-5, rtol=1e-5)


def test_a_model_whose_head_is_its_own_is_not_exported_as_tied(tmp_path, capsys) -> None:
    save_model(import_official(saved(official("crate"), tmp_path / "a.pt", "crate")), tmp_path / "model", {})
    weights = load_file(tmp_path / "model" / "model.safetensors")
    save_file(
        weights | {"lm_head.weight": torch.randn(V, D)}, tmp_path / "model" / "model.safetensors", {"format": "pt"}
    )
    assert run(["import", str(tmp_path / "model"), str(tmp_path / "out.pt"), "--to-official"]) == 2
    assert "its head differs from its token embedding" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out.pt").exists()


@pytest.mark.parametrize("heads", [True, 3.0, "3", 0, None])
def test_a_size_that_is_no_whole_number_is_refused_by_name(heads, tmp_path) -> None:
    with pytest.raises(InputError, match=r"model_args gives n_head .*; it must be a whole number"):
        import_official(saved(official("gpt"), tmp_path / "a.pt", "gpt", n_head=heads), "relu")


def test_a_gpt_that_lost_all_its_biases_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="lacks all biases"):
        import_official(saved(official("gpt"), tmp_path / "a.pt", "gpt", bias=True), "relu")
