"""Setting units to zero at chosen positions: the same as a clamp there, one at a time, in the whole model."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from cratelm.effects import measures
from cratelm.effects.ablation import Ablation
from cratelm.effects.points import all_points
from cratelm.models import CrateConfig, CrateForCausalLM
from cratelm.records.text_sample import TextSample
from cratelm.units.clamp import Clamp, clamped
from cratelm.units.unit_site import Site
from tests import language_models

START, VOCABULARY = 3, 41


def crate() -> tuple[torch.nn.Module, Site]:
    torch.manual_seed(0)
    config = CrateConfig(vocab_size=VOCABULARY, hidden_size=16, num_attention_heads=2, num_hidden_layers=2)
    model = CrateForCausalLM(config).eval()
    return model, Site("model.layers.0.coding.code", 64, signed=False)


def gpt2() -> tuple[torch.nn.Module, Site]:
    model = language_models.random_gpt2(n_positions=32).eval()
    return model, Site("transformer.h.0.mlp.act", 2 * model.config.n_embd * 4, signed=True)


def sample(vocabulary: int) -> TextSample:
    """Three pieces of different lengths."""
    generator = np.random.default_rng(0)
    length = np.array([9, 12, 7])
    tokens = generator.integers(0, vocabulary, (3, 12)) * (np.arange(12) < length[:, None])
    none = np.empty(0, np.int64)
    return TextSample(tokens, length, np.zeros(3, np.int64), np.arange(3), none, np.empty((0, 3, 12), np.float32))


@pytest.fixture(params=[crate, gpt2])
def ablation(request) -> tuple[Ablation, Site]:
    model, site = request.param()
    return Ablation(model, sample(min(VOCABULARY, model.config.vocab_size)), START), site


def whole(ablation: Ablation, piece: int) -> torch.Tensor:
    """The logits at every position of one piece, which the model reads by itself."""
    tokens = [START, *ablation.sample.tokens[piece, : ablation.sample.length[piece]].tolist()]
    with torch.inference_mode():
        return ablation.network(input_ids=torch.tensor([tokens])).logits[0, 1:]


def test_logits_at_points_are_those_of_each_piece_read_alone(ablation) -> None:
    work, _ = ablation
    points = all_points(work.sample)
    assert len(points) == 8 + 11 + 6  # the last token of a piece has no next one
    expected = torch.stack([whole(work, p)[t] for p, t in zip(points.piece, points.position, strict=True)])
    torch.testing.assert_close(work.logits(points), expected, rtol=1e-4, atol=1e-5)


def test_a_unit_set_to_zero_at_a_point_equals_a_clamp_of_its_coordinate_there(ablation) -> None:
    work, site = ablation
    points = all_points(work.sample)[np.array([0, 5, 9, 17, 20])]
    unit = np.array([1, 3, site.units - 1, 7, 2])
    found = work.without(site, unit, points)
    for row, (piece, position) in enumerate(zip(points.piece, points.position, strict=True)):
        coordinate = int(unit[row]) % (site.units // 2 if site.signed else site.units)
        clamp = Clamp(layer=0, unit=coordinate, operation="set", value=0.0, positions=(int(position) + 1,))
        with clamped(work.network, [site.name], [clamp]):
            expected = whole(work, int(piece))[position]
        torch.testing.assert_close(found[row], expected, rtol=1e-4, atol=1e-5)


def test_activations_are_the_parts_of_what_the_site_gives_and_zero_behind_a_piece(ablation) -> None:
    work, site = ablation
    found = work.activations(site)
    seen: list[torch.Tensor] = []
    hook = work.network.get_submodule(site.name).register_forward_hook(lambda m, i, output: seen.append(output[0, 1:]))
    whole(work, 2)
    hook.remove()
    values = torch.cat([seen[0].relu(), (-seen[0]).relu()], -1) if site.signed else seen[0]
    torch.testing.assert_close(found[2, :7], values, rtol=1e-4, atol=1e-6)
    assert not found[2, 7:].any()


def test_measures_are_those_of_scipy_and_of_plain_logarithms() -> None:
    generator = torch.Generator().manual_seed(0)
    before, without = torch.randn(5, 30, generator=generator), torch.randn(5, 30, generator=generator)
    lens = torch.randn(30, generator=generator).double().numpy()
    change = measures.added(before, without)
    assert np.allclose(change.mean(-1), 0)
    expected = [spearmanr(lens, row).statistic for row in change.numpy()]
    assert np.allclose(measures.rank_correlation(lens, change.numpy()), expected)
    target = np.array([0, 3, 29, 7, 7])
    odds = [torch.softmax(logits.double(), -1).numpy()[np.arange(5), target] for logits in (before, without)]
    assert np.allclose(measures.loss_added(before, without, target), np.log(odds[0] / odds[1]))


def test_what_moves_exactly_as_said_has_share_one_and_the_opposite_zero() -> None:
    lens = np.linspace(-1, 1, 50)
    assert measures.share_as_said(lens, lens[None]).tolist() == [1.0]
    assert measures.share_as_said(lens, -lens[None]).tolist() == [0.0]
