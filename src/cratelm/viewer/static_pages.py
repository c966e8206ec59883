"""The same pages as files, for any web host, or for none: they open from a disk as well.

A page opened from a disk may load scripts but not read files, so a document is a script that hands itself over:
`cratelm.put(address, document)`. File names are numbers: nothing from the study becomes part of a path.

DIR/index.html, app.js, app.css …   the page
DIR/data/study.js, MODEL/LAYER.js, MODEL/LAYER/UNIT.js   models by their number in the study
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cratelm.errors import InputError
from cratelm.progress import Progress
from cratelm.stages import partial_of, require_own, require_place
from cratelm.viewer.api import as_json, static_files
from cratelm.viewer.layer_document import layer_document
from cratelm.viewer.network import Network
from cratelm.viewer.networks import Networks
from cratelm.viewer.overview import study_document
from cratelm.viewer.unit_document import unit_document
from cratelm.viewer.viewed_study import Study, ViewedModel
from cratelm.viewer.weights import weights_document

MARK = ".cratelm-export"
"""The file that tells an unfinished export from a folder of somebody else's."""
POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'"


def export_study(folder: Path, out: Path, progress: Progress) -> None:
    """Write the study in `folder` as pages into `out`.

    Raises InputError where `out` exists, or a file of the study is damaged: no page is left out in silence.
    """
    study = Study(folder)
    if out.exists():
        raise InputError(f"{out} exists. Choose another folder for --export, or remove it.")
    require_place(out)
    partial = partial_of(out)
    _begin(partial)
    _write_page(partial)
    _put(partial / "data" / "study.js", "/api/study", study_document(study, None))
    units = sum(site.units for model in study.models.values() for site in model.sites)
    with progress.task("exporting", total=units) as bar:
        for model_index, model in enumerate(study.models.values()):
            with Networks().open(model) as network:
                _put_model(partial / "data" / str(model_index), model, network, bar.advance)
    partial.rename(out)
    (out / MARK).unlink()


def _put_model(folder: Path, model: ViewedModel, network: Network, advance: Callable[[], None]) -> None:
    for layer, site in enumerate(model.sites):
        here = folder / str(layer)
        here.mkdir(parents=True)
        address = f"/api/{model.name}/{layer}"
        _put(here.with_suffix(".js"), address, layer_document(model, layer))
        for unit in range(site.units):
            _put(here / f"{unit}.js", f"{address}/{unit}", _unit(model, network, layer, unit))
            advance()


def _begin(partial: Path) -> None:
    """Make the folder that is written first; one that an earlier export left is made again, nobody else's."""
    if partial.is_symlink() or (partial.exists() and not (partial / MARK).is_file()):
        raise InputError(f"{partial} is in the way, and is no unfinished export. Move it or choose another folder.")
    require_own(partial, (MARK, *static_files(), "data/*.js"))
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "data").mkdir(parents=True)
    (partial / MARK).touch()


def _write_page(folder: Path) -> None:
    for name, content in static_files().items():
        if name == "index.html":
            policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
            page = content.decode().replace('="/', '="')
            content = page.replace(
                "<head>", f'<head>\n    {policy}\n    <meta name="cratelm" content="export">'
            ).encode()
        (folder / name).write_bytes(content)


def _unit(model: ViewedModel, network: Network, layer: int, unit: int) -> dict[str, Any]:
    return unit_document(model, layer, unit) | {"weights": weights_document(network, layer, unit)}


def _put(path: Path, address: str, document: dict[str, Any]) -> None:
    path.write_bytes(b"cratelm.put(" + as_json(address) + b"," + as_json(document) + b");\n")
