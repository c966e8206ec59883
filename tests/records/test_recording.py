"""`cratelm record`: any model and site; the same bytes for any number of workers, killed or not; faults by name."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.models.gpt2.modeling_gpt2 import GPT2Block

from cratelm.artifacts import Artifact, open_artifact
from cratelm.cli import run
from cratelm.corpus.tokenizer import train_bpe
from cratelm.errors import InputError, RunError
from cratelm.models.load import load_causal_lm
from cratelm.models.subject import ForeignModel, open_subject, tokens_for
from cratelm.records import recording
from cratelm.records.config import RecordConfig
from cratelm.records.record import record
from cratelm.records.store import KINDS, read_excerpts, read_units
from cratelm.shards.config import EngineConfig
from cratelm.units.sites import at_sites
from tests import killed
from tests.conftest import sentences
from tests.forking import forking
from tests.shared import Shared

CONFIG = RecordConfig(top=6, random=6, short_random=6, pool=40, histogram=8, table_units=8, batch=640, shard=2500)
OPTIONS = ["--top", "6", "--random", "6", "--short-random", "6", "--pool", "40", "--histogram", "8"]
OPTIONS += ["--table-units", "8", "--batch", "640", "--shard", "2500"]
COMMAND = "from cratelm.cli import main; main()"


@pytest.fixture(scope="module")
def gpt2(tokens: Artifact, shared: Shared) -> Path:
    """A model of transformers' own, with GELU, and the corpus's tokenizer."""

    def make(folder: Path) -> None:
        torch.manual_seed(0)
        shape = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 80}
        GPT2LMHeadModel(GPT2Config(vocab_size=300, bos_token_id=0, eos_token_id=0, **shape)).save_pretrained(folder)
        shutil.copyfile(tokens.path / "tokenizer.json", folder / "tokenizer.json")

    return shared.folder("gelu-gpt2", make)


@pytest.fixture(scope="module")
def recorded(gpt2: Path, tokens: Artifact, shared: Shared, quiet) -> Artifact:
    """Its records, made by this process alone."""
    make = lambda out: record(CONFIG, ForeignModel(gpt2, {}), tokens, out / "records", quiet)  # noqa: E731
    return open_artifact(shared.folder("gelu-records", make) / "records", "records")


def outputs(records: Artifact | Path) -> dict:
    """The hash of every file."""
    path = records if isinstance(records, Path) else records.path
    return json.loads((path / "manifest.json").read_text())["outputs"]


def test_a_gelu_is_split_into_positive_and_negative_units(recorded, gpt2, tokens) -> None:
    summary = json.loads((recorded.path / "records.json").read_text())
    assert [(site["site"], site["units"], site["signed"]) for site in summary["sites"]] == [
        ("transformer.h.0.mlp.act", 128, True),
        ("transformer.h.1.mlp.act", 128, True),
    ]
    model = load_causal_lm(gpt2).eval()
    top = read_excerpts(recorded, 1, "score", "top", excerpt=64)
    row = int(np.flatnonzero((top.unit >= 64) & (top.rank == 0))[0])
    seen: list[torch.Tensor] = []
    site = "transformer.h.1.mlp.act"
    # The unit's excerpt is its context's only one: the model read the end-of-text token before it.
    ids = torch.tensor([[0, *top.tokens[row].tolist()]])
    with torch.no_grad(), at_sites(model, [site], lambda _, output: seen.append(output[0, 1:])):
        model(input_ids=ids)
    expected = torch.relu(-seen[0][:, top.unit[row] - 64])
    np.testing.assert_allclose(top.activations[row], expected.numpy(), rtol=1e-3, atol=1e-6)
    assert read_units(recorded, 1, "score")["firing_rate"].reshape(2, 64).sum(0).max() <= 1


@pytest.mark.processes
def test_two_workers_give_the_same_bytes(recorded, gpt2, tokens, tmp_path, quiet) -> None:
    command = ["record", str(gpt2), "--text", str(tokens.path), *OPTIONS]
    assert run([*command, "--workers", "2", "--out", str(tmp_path / "two")]) == 0
    assert outputs(tmp_path / "two") == outputs(recorded)


@pytest.mark.processes
def test_two_ranks_of_torchrun_give_the_same_bytes(recorded, gpt2, tokens, tmp_path) -> None:
    script = tmp_path / "script.py"
    script.write_text(COMMAND)
    ranks = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    command = [*ranks, "record", str(gpt2), "--text", str(tokens.path), *OPTIONS, "--out", str(tmp_path / "two")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert result.returncode == 0, result.stderr[-3000:]
    assert outputs(tmp_path / "two") == outputs(recorded)


@pytest.mark.processes
@pytest.mark.parametrize(("reached", "workers"), [("first-00001", "1"), ("second-00000", "2")])
def test_a_killed_recording_goes_on_to_the_same_bytes(recorded, gpt2, tokens, tmp_path, quiet, reached, workers):
    out = tmp_path / "killed"
    command = ["record", str(gpt2), "--text", str(tokens.path), *OPTIONS, "--workers", workers, "--out", str(out)]
    process = forking().Process(target=killed.command, args=(command,))
    process.start()
    file = tmp_path / "killed.partial" / "shards" / reached
    deadline = time.monotonic() + 120
    while not file.is_file() and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not out.exists()
    assert outputs(record(CONFIG, ForeignModel(gpt2, {}), tokens, out, quiet)) == outputs(recorded)
    with suppress(ProcessLookupError):  # what workers it left
        os.killpg(process.pid, signal.SIGKILL)


def test_text_is_cut_into_the_models_own_tokens(gpt2, corpus_file, tmp_path) -> None:
    arguments = ["record", str(gpt2), "--text", str(corpus_file), *OPTIONS, "--out", str(tmp_path / "out")]
    assert run([*arguments, "--sites", "transformer.h.1.attn", "--tokens", "2000"]) == 0
    summary = json.loads((tmp_path / "out" / "records.json").read_text())
    assert [(site["site"], site["units"]) for site in summary["sites"]] == [("transformer.h.1.attn", 32)]
    assert all(half["tokens"] <= 2000 for half in summary["halves"].values())
    again = (tmp_path / "out-tokens" / "tokenizer.json").read_text()
    assert json.loads(again)["model"] == json.loads((gpt2 / "tokenizer.json").read_text())["model"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--sites", "nothing.*"], "no site matches 'nothing.*'. Give mlp.neurons, mlp.out, attention.out,"),
        (["--sites", "transformer.wte"], None),
        (["--sites", "lm_head"], "lm_head gives nothing"),
        (["--sites", "transformer.wpe"], "transformer.wpe gives (1, 3, 16) for 2 texts of 3 tokens"),
        (["--tokens", "3"], "--tokens 3: the first document of the explain side has"),
        (["--context", "64"], "do not fit a context of 64"),
    ],
)
def test_what_cannot_be_recorded_is_refused(gpt2, tokens, tmp_path, capsys, change, message) -> None:
    arguments = ["record", str(gpt2), "--text", str(tokens.path), *OPTIONS, "--out", str(tmp_path / "out"), *change]
    if message is None:
        assert run(arguments) == 0
        return
    assert run(arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_model_without_a_tokenizer_or_no_model_is_refused(gpt2, tokens, tmp_path, quiet) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(gpt2, bare)
    (bare / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"holds no tokenizer\.json"):
        open_subject(str(bare))
    with pytest.raises(InputError, match=r"there is no folder nobody/nothing.*HF_HUB_OFFLINE=0"):
        open_subject("nobody/nothing")
    other = tmp_path / "other"
    shutil.copytree(gpt2, other)
    train_bpe(sentences(50), 280).save(str(other / "tokenizer.json"))
    with pytest.raises(InputError, match="was made with another tokenizer"):
        tokens_for(ForeignModel(other, {}), str(tokens.path), tmp_path / "tokens", quiet)


def spoil(gpt2: Path, folder: Path, value: float, units: slice) -> Path:
    """A copy of the model, some units of whose last layer are what they should not be."""
    shutil.copytree(gpt2, folder)
    model = load_causal_lm(folder)
    model.transformer.h[1].mlp.c_fc.bias.data[units] = value
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_units_that_are_not_finite_are_counted_marked_and_set_aside(gpt2, tokens, tmp_path, quiet, value, recorded):
    spoiled = spoil(gpt2, tmp_path / "spoiled", value, slice(3, 5))
    found = record(CONFIG, ForeignModel(spoiled, {}), tokens, tmp_path / "out", quiet)
    sites = json.loads((found.path / "records.json").read_text())["sites"]
    assert [site["not_finite"] for site in sites] == [0, 4 if value != value else 2]
    statistics = read_units(found, 1, "score")
    assert not statistics["finite"][3:5].any() and statistics["finite"][5:64].all()
    assert np.isnan(statistics["mean"][3:5]).all()
    for excerpt, kinds in ((64, ("top", "random")), (9, ("top", "random", "interval", "other"))):
        for kind in kinds:
            spoiled_rows, rows = (read_excerpts(r, 1, "score", kind, excerpt=excerpt) for r in (found, recorded))
            assert not np.isin(spoiled_rows.unit, [3, 4]).any()
            # The other units' records are what they were.
            kept = rows.where((rows.unit < 64) & ~np.isin(rows.unit, [3, 4]))
            same = spoiled_rows.where(spoiled_rows.unit < 64)
            assert np.array_equal(same.start, kept.start) and np.array_equal(same.activations, kept.activations)


def test_a_model_without_one_finite_unit_is_refused(gpt2, tokens, tmp_path, quiet) -> None:
    spoiled = spoil(gpt2, tmp_path / "spoiled", float("nan"), slice(None))
    config = RecordConfig(**{**vars(CONFIG), "sites": "transformer.h.1.mlp.act"})
    with pytest.raises(RunError, match="no unit's activations are finite"):
        record(config, ForeignModel(spoiled, {}), tokens, tmp_path / "out", quiet)


def test_a_damaged_file_is_named(recorded, tmp_path) -> None:
    copy = tmp_path / "records"
    shutil.copytree(recorded.path, copy)
    path = copy / "layer-0.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"layer-0\.parquet is damaged.*that made it"):
        read_excerpts(Artifact(copy, {}), 0, "score", "top")


def test_engines_do_not_stand_in_the_settings(recorded, gpt2, tokens, quiet) -> None:
    engine = EngineConfig(workers=3)
    assert record(CONFIG, ForeignModel(gpt2, {}), tokens, recorded.path, quiet, engine).path == recorded.path


def test_no_layer_behind_the_last_site_is_computed(gpt2, tokens, tmp_path, quiet, monkeypatch) -> None:
    entered, plain = [], GPT2Block.forward

    def forward(self, *given, **named):
        entered.append(self)
        return plain(self, *given, **named)

    monkeypatch.setattr(GPT2Block, "forward", forward)
    config = dataclasses.replace(CONFIG, sites="transformer.h.0.mlp.act")
    record(config, ForeignModel(gpt2, {}), tokens, tmp_path / "out", quiet)
    first = entered[0]
    # The whole model is run four times: whether it is causal, how many coordinates its sites have, and, told positions
    # and not, whether it takes them.
    assert sum(one is not first for one in entered) == 4
    assert sum(one is first for one in entered) > 20


def test_the_model_is_opened_once_on_any_device(gpt2, tokens, tmp_path, quiet, monkeypatch) -> None:
    opened, plain = [], recording.load_network
    monkeypatch.setattr(recording, "load_network", lambda *given: opened.append(given) or plain(*given))
    record(CONFIG, ForeignModel(gpt2, {}), tokens, tmp_path / "out", quiet, device="cpu")
    assert len(opened) == 1


def test_a_model_that_was_replaced_in_its_folder_is_read_anew(gpt2, tokens, tmp_path, quiet) -> None:
    folder = tmp_path / "model"
    shutil.copytree(gpt2, folder)
    record(CONFIG, ForeignModel(folder, {}), tokens, tmp_path / "out", quiet)
    shutil.rmtree(tmp_path / "out")
    torch.manual_seed(1)
    GPT2LMHeadModel(GPT2Config.from_pretrained(gpt2)).save_pretrained(folder)
    again = record(CONFIG, ForeignModel(folder, {}), tokens, tmp_path / "out", quiet)
    elsewhere = record(CONFIG, ForeignModel(folder, {}), tokens, tmp_path / "elsewhere", quiet)
    assert outputs(again)["units.parquet"] == outputs(elsewhere)["units.parquet"]


def test_recording_writes_few_bytes_for_each_that_it_keeps(gpt2, tokens, tmp_path, quiet) -> None:
    """A table of each batch's tokens, as it was once written, is seven bytes for each that is kept of such a text."""

    def written() -> int:
        lines = Path("/proc/self/io").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("wchar:"))

    config, before = dataclasses.replace(CONFIG, table_units=None, batch=256, shard=20_000), written()
    made = record(config, ForeignModel(gpt2, {}), tokens, tmp_path / "out", quiet)
    kept = sum(file.stat().st_size for file in made.path.iterdir() if file.is_file())
    assert (written() - before) / kept < 5


def test_excerpts_are_stored_by_unit_length_half_kind_interval_and_rank(recorded) -> None:
    table = pq.read_table(recorded.path / "layer-0.parquet")
    columns = {name: table[name].to_numpy() for name in ("unit", "excerpt", "half", "kind", "interval", "rank")}
    columns["excerpt"] = -columns["excerpt"]
    columns["half"] = (columns["half"] == "score").astype(int)
    columns["kind"] = np.array([KINDS.index(kind) for kind in columns["kind"]])
    assert np.array_equal(np.lexsort(list(columns.values())[::-1]), np.arange(len(table)))
    lengths = [len(tokens) for tokens in table["tokens"].to_pylist()]
    assert lengths == [len(values) for values in table["activations"].to_pylist()] == table["excerpt"].to_pylist()
