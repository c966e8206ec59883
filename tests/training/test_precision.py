"""Precision by measurement: bf16 where it pays, and what a training was begun with as long as it lasts."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cratelm.training import bf16_probe, precision
from cratelm.training.config import TrainConfig, TrainingConfig
from cratelm.training.precision import BEGUN, settled

AUTO = TrainConfig()


def on_processor(monkeypatch: pytest.MonkeyPatch, gain: float, able: bool = True) -> None:
    """A processor that multiplies in bf16 so many times as fast."""
    monkeypatch.setattr(precision, "bf16_gain", lambda: gain)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": able})


@pytest.mark.parametrize(("gain", "chosen"), [(0.48, "fp32"), (1.14, "fp32"), (1.15, "bf16"), (5.0, "bf16")])
def test_bf16_is_chosen_where_it_multiplies_at_least_15_percent_faster(monkeypatch, gain: float, chosen: str) -> None:
    on_processor(monkeypatch, gain)
    assert settled(AUTO).training.precision == chosen


def test_a_processor_without_the_instructions_is_not_measured(monkeypatch) -> None:
    on_processor(monkeypatch, 9, able=False)
    monkeypatch.setattr(precision, "bf16_gain", lambda: pytest.fail("measured"))
    assert settled(AUTO).training.precision == "fp32"


def test_what_a_user_says_holds(monkeypatch, tmp_path: Path) -> None:
    on_processor(monkeypatch, 5)
    assert settled(replace(AUTO, training=TrainingConfig(precision="fp32")), tmp_path).training.precision == "fp32"
    assert not (tmp_path / BEGUN).exists()


def test_a_training_goes_on_in_the_precision_that_it_was_begun_in(monkeypatch, tmp_path: Path) -> None:
    on_processor(monkeypatch, 5)
    assert settled(AUTO, tmp_path).training.precision == "bf16"
    on_processor(monkeypatch, 0.5)  # another machine
    assert settled(AUTO, tmp_path).training.precision == "bf16"
    assert settled(AUTO).training.precision == "fp32"


def test_a_machine_is_measured_once(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    measured = bf16_probe.bf16_gain()
    assert measured > 0
    monkeypatch.setattr(bf16_probe, "_measured", lambda: pytest.fail("measured again"))
    assert bf16_probe.bf16_gain() == measured


def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(bf16_probe, "_measured", lambda: 2.0)
    assert bf16_probe.bf16_gain() == 2.0


def test_a_damaged_cache_is_measured_again_and_replaced(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "cratelm").mkdir()
    (tmp_path / "cratelm" / "bf16.json").write_text("{broken")
    monkeypatch.setattr(bf16_probe, "_measured", lambda: 2.0)
    assert bf16_probe.bf16_gain() == 2.0
    monkeypatch.setattr(bf16_probe, "_measured", lambda: pytest.fail("measured again"))
    assert bf16_probe.bf16_gain() == 2.0


def test_measuring_leaves_the_number_of_threads_as_it_was() -> None:
    before = torch.get_num_threads()
    bf16_probe._measured()
    assert torch.get_num_threads() == before
