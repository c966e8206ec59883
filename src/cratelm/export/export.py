"""The export stage: records in, a folder of another project's format out.

A layer is written next to its place and moved there when it is complete, so a killed export resumes at the next one.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from cratelm.artifacts import Artifact, Stage, read_json, run_stage
from cratelm.corpus.read_tokens import read_tokenizer
from cratelm.corpus.token_text import token_texts
from cratelm.disk import require_disk
from cratelm.errors import InputError
from cratelm.export.config import ExportConfig
from cratelm.export.exported_layer import Layer
from cratelm.export.neuron_record import write_neuron_records
from cratelm.export.neuronpedia import write_dashboards
from cratelm.progress import Progress
from cratelm.protocols import PROTOCOLS

EXPORT = Stage(
    "export",
    files=("collated-activations/[0-9]*/[0-9]*.json", "[0-9]*/batch-[0-9]*.json", "[0-9]*/*_*.json"),
    scratch=("beside/*",),
)
BYTES = {"neuron-record": 60_000, "neuronpedia": 60_000}
"""About what a unit takes: excerpts of 64 tokens as text and numbers, at the default settings of recording."""
WRITERS: dict[str, tuple[str, Callable[[Layer, Path], None]]] = {
    "neuron-record": ("collated-activations/{}", write_neuron_records),
    "neuronpedia": ("{}", write_dashboards),
}
"""Where a layer's folder lies, and what writes it."""


def export(config: ExportConfig, records: Artifact, out: Path, progress: Progress) -> Artifact:
    """Write `records` in another project's format in `out`.

    Raises InputError where the records have no such half.
    """
    return run_stage(
        out, EXPORT, config, {"records": records}, lambda folder: _export(config, records, folder, progress)
    )


def _export(config: ExportConfig, records: Artifact, folder: Path, progress: Progress) -> None:
    summary = read_json(records.path / "records.json")
    half = config.half or PROTOCOLS[summary["protocol"]].explained_on
    if half not in summary["halves"]:
        raise InputError(f"--half {half}: the recording has {' and '.join(summary['halves'])}.")
    units = sum(site["units"] for site in summary["sites"])
    require_disk(folder, BYTES[config.format] * units, "the exported units")
    texts = token_texts(read_tokenizer(records))
    place, write = WRITERS[config.format]
    with progress.task(f"exporting {records.path.name}", total=len(summary["sites"])) as bar:
        for site in summary["sites"]:
            target = folder / place.format(site["layer"])
            if not target.is_dir():
                beside = folder / "beside"
                shutil.rmtree(beside, ignore_errors=True)
                beside.mkdir(parents=True)
                write(Layer(records, summary, half, site["layer"], texts), beside)
                target.parent.mkdir(parents=True, exist_ok=True)
                beside.rename(target)
            bar.advance()
