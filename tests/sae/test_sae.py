"""Sparse autoencoders: trained as SAELens would, measured as it does, and units like any other."""

import builtins
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from sae_lens import SAE, TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.config import LoggingConfig, SAETrainerConfig
from sae_lens.evals import ExplainedVarianceCalculator, get_recons_loss
from sae_lens.load_model import HookedProxyLM
from sae_lens.saes.sae import TrainStepInput
from sae_lens.training.activation_scaler import ActivationScaler
from sae_lens.training.sae_trainer import SAETrainer

from cratelm.artifacts import Artifact, read_json
from cratelm.cli import run
from cratelm.corpus.read_tokens import read_side, read_tokenizer, read_train
from cratelm.corpus.tokenizer import end_of_text_id
from cratelm.corpus.training_windows import Windows
from cratelm.errors import InputError
from cratelm.models.load import load_causal_lm
from cratelm.presets import sae_preset
from cratelm.sae import fit_dictionary as fitting
from cratelm.sae.config import SaeConfig
from cratelm.sae.fit_dictionary import l1_coefficient, make_trainers
from cratelm.sae.open import read_saes
from cratelm.sae.quality import HeldOut, Reconstruction, measure
from cratelm.sae.sparse import SparseTopKTrainingSAE
from cratelm.sae.stream import ActivationStream
from cratelm.sae.train import train_saes
from cratelm.units.sites import at_sites, find_sites
from tests.sae_models import CONFIG


def stream_of(model: Artifact, tokens: Artifact, **changes) -> ActivationStream:
    network = load_causal_lm(model.path / "model")
    windows = Windows(read_train(tokens), 80, 50, 0)
    return ActivationStream(**{"model": network, "sites": find_sites(network), "windows": windows} | changes)


def weights(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.safetensors")}


def test_the_stream_gives_each_window_s_activations_once_in_mixed_order(model, tokens):
    stream = stream_of(model, tokens, buffer=400, seed=3)
    network, sites, seen = stream.model, stream.sites, {}
    inputs = torch.stack([stream.windows[row]["input_ids"] for row in range(5, 10)])
    with torch.no_grad(), at_sites(network, sites, lambda site, x: seen.update({site: x.flatten(0, 1)})):
        network(input_ids=inputs)
    batches = list(stream.batches(1, 100))
    assert [len(batch[sites[0]]) for batch in batches] == [100] * 4
    mixed = {site: torch.cat([batch[site] for batch in batches]) for site in sites}
    assert not torch.equal(mixed[sites[0]], seen[sites[0]])
    distance = torch.cdist(mixed[sites[0]].double(), seen[sites[0]].double())
    order = distance.argmin(1)  # the same shuffle at every site: rows are tokens
    for site in sites:
        torch.testing.assert_close(mixed[site].sort(0).values, seen[site].sort(0).values)
        torch.testing.assert_close(mixed[site], seen[site][order], atol=1e-5, rtol=1e-5)


def test_several_autoencoders_on_one_stream_are_what_saelens_makes_of_each_alone(model, tokens, quiet, tmp_path):
    stream = stream_of(model, tokens, buffer=400, seed=3)
    dense = replace(CONFIG, k=8)  # so many that SAELens's own products are used
    trainers = make_trainers(dense, stream, 8, "tiny")
    alone = {}
    for site, trainer in trainers.items():
        scaled = {"normalize_activations": "expected_average_only_in"}
        sae = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=64, d_sae=128, k=8, **scaled))
        sae.load_state_dict(trainer.sae.state_dict())
        settings = SAETrainerConfig(
            total_training_samples=800,
            train_batch_size_samples=100,
            lr=3e-3,
            lr_end=3e-3,
            dead_feature_window=1,
            n_batches_for_norm_estimate=1,
            logger=LoggingConfig(log_to_wandb=False),
        )
        norm_from = stream.block(0)[site]  # SAELens takes what it scales by from the stream's start
        batches = chain([norm_from], (batch[site] for block in range(2) for batch in stream.batches(block, 100)))
        alone[site] = SAETrainer(cfg=settings, sae=sae, data_provider=batches).fit()
    (tmp_path / "stage.json").write_text("{}")  # the run that checkpoints belong to
    (tmp_path / "checkpoints").mkdir()
    fitting.fit(dense, stream, trainers, 2, tmp_path / "checkpoints", quiet)
    for site, trainer in trainers.items():
        for name, value in trainer.sae.state_dict().items():
            assert torch.equal(value, alone[site].state_dict()[name]), name


@pytest.mark.parametrize("dead", [0, 5, 40], ids=["none dead", "few dead", "many dead"])
def test_sparse_products_give_saelens_s_losses_and_gradients(dead):
    torch.manual_seed(0)
    x, mask = torch.randn(50, 16).relu(), torch.zeros(96, dtype=torch.bool)
    mask[torch.randperm(96)[:dead]] = True
    settings = TopKTrainingSAEConfig(d_in=16, d_sae=96, k=3)
    theirs, ours = TopKTrainingSAE(settings), SparseTopKTrainingSAE(settings)
    theirs.W_dec.data *= torch.rand(96, 1) + 0.5  # norms that decide what fires
    theirs.b_enc.data += 0.1 * torch.randn(96)
    theirs.b_dec.data += 0.1 * torch.randn(16)
    ours.load_state_dict(theirs.state_dict())
    step = TrainStepInput(sae_in=x, coefficients={}, dead_neuron_mask=mask, n_training_steps=0, is_logging_step=False)
    expected, found = theirs.training_forward_pass(step), ours.training_forward_pass(step)
    expected.loss.backward()
    found.loss.backward()
    torch.testing.assert_close(found.sae_out, expected.sae_out)
    torch.testing.assert_close(found.losses, expected.losses)
    assert torch.equal(found.feature_acts.bool().to_dense(), expected.feature_acts.bool())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, theirs.get_parameter(name).grad, atol=1e-5, rtol=1e-5)


def test_wide_autoencoders_are_trained_by_sparse_products_and_read_by_saelens(model, tokens, quiet, tmp_path):
    config = replace(CONFIG, width="8x", k=4, tokens=1200)
    trainers = make_trainers(config, stream_of(model, tokens, buffer=400, seed=0), 8, "tiny")
    assert {type(trainer.sae) for trainer in trainers.values()} == {SparseTopKTrainingSAE}
    wide = train_saes(config, model, tokens, tmp_path / "sae", quiet)
    again = train_saes(config, model, tokens, tmp_path / "again", quiet)
    assert weights(wide.path) == weights(again.path)
    assert SAE.load_from_disk(wide.path / "0").cfg.architecture() == "topk"
    assert all(site["explained_variance"] > 0 for site in read_json(wide.path / "quality.json")["sites"].values())


def test_the_paper_s_penalty_becomes_saelens_s():
    x, reconstruction, latents = torch.randn(1, 8), torch.randn(1, 8), torch.rand(1, 32)
    norm = x.norm()
    paper = (x - reconstruction).square().mean() / norm + 8e-5 * latents.sum()
    lens = (x - reconstruction).square().sum() + l1_coefficient(8e-5, x) * latents.sum()
    torch.testing.assert_close(paper * 8 * norm, lens)


def test_a_stopped_run_goes_on_to_the_same_bytes(model, tokens, made, quiet, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "BLOCKS_BETWEEN", 2)
    whole, calls = ActivationStream.batches, []

    def dies(self, number, size):
        calls.append(number)
        if number == 5:
            raise KeyboardInterrupt
        return whole(self, number, size)

    monkeypatch.setattr(ActivationStream, "batches", dies)
    with pytest.raises(KeyboardInterrupt):
        train_saes(CONFIG, model, tokens, tmp_path / "sae", quiet)
    calls.clear()
    monkeypatch.setattr(ActivationStream, "batches", lambda *given: calls.append(given[1]) or whole(*given))
    resumed = train_saes(CONFIG, model, tokens, tmp_path / "sae", quiet)
    assert calls[0] == 4
    assert weights(resumed.path) == weights(made.path)
    assert not list(resumed.path.rglob("checkpoint*"))


def test_saelens_reads_what_is_saved(made, model):
    read = SAE.load_from_disk(made.path / "0")
    assert read.cfg.architecture() == "topk"
    assert (read.cfg.d_in, read.cfg.d_sae, read.cfg.k) == (64, 128, 4)
    assert read.cfg.metadata.hook_name == find_sites(load_causal_lm(model.path / "model"))[0]


def test_quality_equals_saelens_s_own_evaluation(made, model, tokens, quiet):
    network = load_causal_lm(model.path / "model")
    tokenizer = read_tokenizer(tokens)
    held_out = HeldOut(network, read_side(tokens, "validation"), end_of_text_id(tokenizer), 3)
    batches = [inputs for inputs, _ in held_out.batches()]
    quality = measure(held_out, read_saes(made.path, "cpu"), quiet)
    for site, sae in read_saes(made.path, "cpu").items():
        explained, fired, losses = ExplainedVarianceCalculator(), 0.0, {}
        for inputs in batches:
            seen = []
            with (
                torch.no_grad(),
                at_sites(network, [site], lambda _, x, seen=seen: seen.append(x[:, 1:].flatten(0, 1))),
            ):
                network(input_ids=inputs)
            latents = sae.encode(seen[0])
            explained.add_batch(sae.decode(latents), seen[0])
            fired += latents.bool().sum().item()
            lens = HookedProxyLM(network, None)
            with torch.no_grad():
                theirs = get_recons_loss(sae, lens, ActivationScaler(), inputs, False, True, hook_name=site)
            for name, value in theirs.items():
                losses.setdefault(name, []).append(value.flatten())
        mean = {name: torch.cat(values).double().mean().item() for name, values in losses.items()}
        ours = quality["sites"][site]
        assert ours["l0"] == pytest.approx(fired / explained.num_samples, abs=1e-4)
        assert ours["explained_variance"] == pytest.approx(explained.compute(), abs=1e-4)
        assert quality["clean_loss"] == pytest.approx(mean["ce_loss_without_sae"], abs=1e-4)
        assert ours["sae_loss"] == pytest.approx(mean["ce_loss_with_sae"], abs=1e-4)
        assert ours["zero_loss"] == pytest.approx(mean["ce_loss_with_ablation"], abs=1e-4)
        assert ours["delta_loss"]["mean"] == pytest.approx(ours["sae_loss"] - quality["clean_loss"], abs=1e-6)
        gap = mean["ce_loss_with_ablation"] - mean["ce_loss_without_sae"]
        recovered = (mean["ce_loss_with_ablation"] - mean["ce_loss_with_sae"]) / gap
        if ours["loss_recovered"] is None:  # zeros cost the model nothing that is sure
            assert gap < 0.01
        else:
            assert ours["loss_recovered"] * gap == pytest.approx(recovered * gap, abs=1e-4)
        assert sum(ours["density"]["latents"]) == round(128 * (1 - ours["dead_share"]))


def test_sums_over_batches_are_those_over_all_tokens():
    x, latents, guess = torch.randn(50, 3) + 5, torch.randn(50, 7).relu(), torch.randn(50, 3) + 5
    latents[:, 2] = 0
    sums = Reconstruction(3, 7)
    for rows in torch.arange(50).split(20):
        sums.update(x[rows], latents[rows], guess[rows])
    figures = sums.figures()
    error = (x - guess).square().sum() / (x - x.mean(0)).square().sum()
    assert figures["explained_variance"] == pytest.approx(1 - error.item(), abs=1e-5)
    assert figures["l0"] == pytest.approx((latents > 0).sum().item() / 50)
    assert figures["dead_share"] == pytest.approx(np.mean([(latents[:, unit] == 0).all() for unit in range(7)]))
    assert sum(figures["density"]["latents"]) == 6


@pytest.mark.parametrize(("spread", "expected"), [(0.0, None), (1.0, 0.0)])
def test_an_input_that_never_varies_has_no_variance_to_explain(spread, expected):
    x = 123.456 + spread * torch.randn(3000, 4)
    sums = Reconstruction(4, 2)
    for rows in x.split(700):
        sums.update(rows, torch.ones(len(rows), 2), x.mean(0) + 0.01 * (spread == 0) + 0 * rows)
    found = sums.figures()["explained_variance"]
    assert found is None if expected is None else found == pytest.approx(expected, abs=1e-3)
    torch.testing.assert_close(sums.mean, x.double().mean(0))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"width": "0x"}, "1x as many"),
        ({"width": "0.5x"}, "whole number"),
        ({"width": "16"}, "whole number"),
        ({"arch": "gated"}, "standard, topk"),
        ({"k": 0}, "1 or more"),
        ({"batch": 500, "buffer": 400}, "holds no batch"),
        ({"learning_rate": 0.0}, "above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, reason):
    with pytest.raises(InputError, match=reason):
        SaeConfig(**changes)


def test_k_above_the_width_is_refused(model, tokens, quiet, tmp_path):
    with pytest.raises(InputError, match="has 64 latents"):
        train_saes(SaeConfig(width="1x", k=65, batch=100, buffer=400), model, tokens, tmp_path / "sae", quiet)
    assert not list(tmp_path.iterdir())


def test_a_site_that_gives_nothing_is_refused(model, tokens):
    stream = stream_of(model, tokens, buffer=400, seed=0, sites=["lm_head"])
    with pytest.raises(InputError, match="lm_head gives no activations"):
        stream.block(0)


def test_a_site_without_a_dimension_of_tokens_is_refused_before_the_training(model, tokens):
    stream = stream_of(model, tokens, buffer=400, seed=0)
    with (
        at_sites(stream.model, stream.sites[:1], lambda site, x: x.flatten(0, 1)[1:]),
        pytest.raises(InputError, match=r"where units are read from outputs \(batch, tokens, units\)"),
    ):
        stream.block(0)


def test_a_stream_of_zeros_is_refused(model, tokens):
    stream = stream_of(model, tokens, buffer=400, seed=0)
    with (
        at_sites(stream.model, stream.sites[:1], lambda site, x: torch.zeros_like(x)),
        pytest.raises(InputError, match="zero everywhere"),
    ):
        make_trainers(CONFIG, stream, 8, "tiny")


def test_the_command_trains_prints_and_does_nothing_twice(model, tokens, tmp_path, capsys):
    sizes = "--width 1x --arch standard --tokens 800 --batch 100 --buffer 400 --documents 3 --json"
    command = ["sae", str(model.path), "--text", str(tokens.path), "--out", str(tmp_path / "sae"), *sizes.split()]
    assert run(command) == 0
    printed = capsys.readouterr().out
    assert len(read_json(tmp_path / "sae" / "quality.json")["sites"]) == 2
    assert run(command) == 0
    assert capsys.readouterr().out == printed
    assert run([*command[:-1]]) == 0
    assert "loss" in capsys.readouterr().out


def test_without_the_extra_the_error_says_what_to_install(monkeypatch, tmp_path):
    real = builtins.__import__

    def missing(name, *given, **named):
        if name.partition(".")[0] == "sae_lens":
            raise ImportError(name)
        return real(name, *given, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(InputError, match=r"pip install 'cratelm\[sae\]'"):
        train_saes(CONFIG, Artifact(tmp_path, {}), Artifact(tmp_path, {}), tmp_path / "sae", None)


def test_the_paper_s_recipe_is_a_preset():
    paper = sae_preset("paper")
    assert (paper.arch, paper.width, paper.batch, paper.learning_rate, paper.l1) == (
        "standard",
        "16x",
        4096,
        4e-4,
        8e-5,
    )
