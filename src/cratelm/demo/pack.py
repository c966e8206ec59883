"""A finished study, reduced to what is looked at, as one file: python -m cratelm.demo.pack STUDY FILE

The file holds the trained models, the text that they were measured on, their units' excerpts, explanations and scores,
and the report's numbers. It leaves out the text that they were trained on, the models before training, and what only
further measuring needs. Activations, recorded and expected, are
rounded to 8 significant bits. Every manifest is signed anew: it lists the files that are there and names those that are
not. The same study gives the same bytes, as long as pyarrow and liblzma are the same.
"""

import lzma
import shutil
import sys
import tarfile
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cratelm.artifacts import LEFT_OUT, MANIFEST, STUDY, Artifact, open_artifact, write_json
from cratelm.files import hash_file
from cratelm.stages import hashed, write_whole
from cratelm.viewer.overview import is_control
from cratelm.viewer.viewed_study import Study

NOTICE = "NOTICE.txt"
"""Whose text the demo study quotes, and under which licences."""
COMPRESSION = 9 | lzma.PRESET_EXTREME


@dataclass(frozen=True)
class Part:
    """What is kept of one kind of stage, and how."""

    folders: str
    """A glob over the study's folder."""
    stage: str
    kept: tuple[str, ...]
    """Globs over the stage's files; `*` matches a `/` too."""
    rounded: str | None = None
    """The column of its parquet files whose numbers are rounded: float32 or float64, or lists of them."""

    def copy(self, source: Path, out: Path) -> None:
        """Copy one file: parquet row by row, the rest byte by byte."""
        if source.suffix == ".parquet":
            write_plain(source, out, self.rounded)
        else:
            shutil.copyfile(source, out)


PARTS = (
    Part("tokens", "tokens", ("explain.ds*", "score.ds*", "counts.json", "tokenizer.json")),
    Part("models/*", "model", ("*",)),
    Part(
        "records/*",
        "records",
        (
            "layer-*.parquet",
            "units.parquet",
            "context.*",
            "logits.parquet",
            "records.json",
            "text-score.parquet",
            "tokenizer.json",
        ),
        "activations",
    ),
    Part("explanations/*", "explanations", ("sentences-*", "rules-*", "*-openai-*", "*-anthropic-*"), "mean"),
    Part("scores/*", "scores", ("units-*",)),
    Part("report", "report", ("table.*",)),
)
"""A stage comes after the stages that it is made from."""


def pack(study: Path, archive: Path) -> None:
    """Write the file `archive` from the finished study in `study`, with the notice of the demo study's text.

    Raises InputError where the folder holds no finished study, or a file of it is damaged.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        reduce(study, folder)
        with as_file(files("cratelm.demo") / NOTICE) as notice:
            shutil.copy(notice, folder)
        write_whole(archive, lambda place: _archive(folder, place))


def reduce(study: Path, out: Path) -> None:
    """Copy what is kept of a finished study into the folder `out`, with manifests that say so."""
    Study(study)  # refuses what is not finished
    shutil.copy(study / STUDY, out)
    signed: dict[str, str] = {}
    for part in PARTS:
        for folder in sorted(study.glob(part.folders)):
            if not is_control(folder.name):
                _reduce(open_artifact(folder, part.stage), out / folder.relative_to(study), part, signed)


def _reduce(artifact: Artifact, out: Path, part: Part, signed: dict[str, str]) -> None:
    """One stage. `signed` gives the new hash of a manifest by its old one, and gets this stage's."""
    outputs = artifact.manifest["outputs"]
    names = [name for name in outputs if any(fnmatchcase(name, pattern) for pattern in part.kept)]
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        part.copy(artifact.path / name, out / name)
    inputs = {name: signed.get(sha256, sha256) for name, sha256 in artifact.manifest["inputs"].items()}
    left_out = {LEFT_OUT: sorted(outputs.keys() - names)} if len(names) < len(outputs) else {}
    write_json(out / MANIFEST, artifact.manifest | {"inputs": inputs, "outputs": hashed(out, names)} | left_out)
    signed[artifact.sha256] = hash_file(out / MANIFEST)


def write_plain(source: Path, out: Path, rounded: str | None) -> None:
    """The same rows in the same row groups, uncompressed: so xz sees the text that excerpts of many units share."""
    with pq.ParquetFile(source) as file:
        schema = file.schema_arrow
        names = [field.name for field in schema if pa.types.is_dictionary(field.type)]
        with pq.ParquetWriter(out, schema, compression="none", use_dictionary=names) as writer:  # type: ignore[arg-type]
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                if rounded is not None and rounded in table.column_names:
                    table = _with_rounded(table, rounded)
                writer.write_table(table)


def _with_rounded(table: pa.Table, name: str) -> pa.Table:
    """The table with the numbers of a column rounded."""
    column = table[name].combine_chunks()
    if pa.types.is_list(column.type):  # of a table as it was read, which begins with its first value
        new = pa.ListArray.from_arrays(column.offsets, _rounded(column.values))
    else:
        new = _rounded(column)
    return table.set_column(table.column_names.index(name), name, new)


def _rounded(values: pa.Array) -> pa.Array:
    return pa.array(to_bfloat16(np.asarray(values).astype(np.float32)), values.type)


def to_bfloat16(values: np.ndarray) -> np.ndarray:
    """float32 numbers rounded to those that bfloat16 can hold, as float32; a half is rounded away from zero."""
    bits = values.view(np.uint32).astype(np.uint64) + 0x8000
    return (bits & 0xFFFF0000).astype(np.uint32).view(np.float32)


def _archive(folder: Path, place: Path) -> None:
    """All files of a folder, in the order of their names, without anything of when or by whom they were made."""
    with lzma.open(place, "wb", preset=COMPRESSION) as file, tarfile.open(fileobj=file, mode="w") as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size = path.stat().st_size
            with path.open("rb") as content:
                archive.addfile(entry, content)


if __name__ == "__main__":
    pack(Path(sys.argv[1]), Path(sys.argv[2]))
