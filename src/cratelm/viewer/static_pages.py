"""The same pages as files, for any web host, or for none: they open from a disk as well.

A page opened from a disk may load scripts but not read files, so a document is a script that hands itself over:
`cratelm.put(address, pack)` (viewer/packing.py). Names of files are numbers: nothing from the study becomes part of a
path.

DIR/index.html, app.js, app.css …   the page
DIR/text.json                       which corpus the excerpts are of
DIR/data/study.js                   the study
DIR/data/MODEL/LAYER.js             a layer; models by their number among those that are exported
DIR/data/MODEL/LAYER/units-N.js     the layer's N-th UNITS_IN_BLOCK units (viewer/unit_blocks.py)
DIR/data/MODEL/LAYER/text-N.js      the text of the N-th BLOCKS_ON_SHELF blocks
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from cratelm.artifacts import write_json
from cratelm.corpus.provenance import corpus_of_study, public_name
from cratelm.errors import InputError
from cratelm.progress import Progress
from cratelm.stages import require_place, write_whole
from cratelm.viewer.api import as_json, static_files
from cratelm.viewer.chosen_units import Choice, Chosen, chosen_units
from cratelm.viewer.layer_document import layer_document, some_units
from cratelm.viewer.network import Network
from cratelm.viewer.networks import Networks
from cratelm.viewer.one_page import one_page
from cratelm.viewer.overview import study_document
from cratelm.viewer.packing import packed
from cratelm.viewer.unit_blocks import BLOCKS_ON_SHELF, UNITS_IN_BLOCK, Text, unit_block
from cratelm.viewer.viewed_study import Study
from cratelm.viewer.weights import weights_documents

EXPORTED = '<meta name="cratelm" content="export">'
"""What tells the page that it is an export."""
TEXT = "text.json"
"""Which corpus the excerpts are of, by its public name: whether they may be published depends on it."""
POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'"
MOST_ON_ONE_PAGE = 200
"""Units in a page of one file, which a browser reads whole."""
ALL = Choice()
Script = tuple[str, str]
"""An address, and the pack of what lies there."""


def export_study(folder: Path, out: Path, progress: Progress, choice: Choice = ALL, *, zipped: bool = False) -> None:
    """Write the study in `folder` as pages into the folder `out`, or `zipped` into the file `out`.

    Raises InputError where `out` exists, or a file of the study is damaged: no page is left out in silence.
    """
    study = Study(folder)
    chosen = chosen_units(study, choice)
    _require_free(out)

    def write(place: Path) -> None:
        # A zip holds one folder, of its own name: unpacked, it does not spill its files among a person's others.
        pages = place.with_name(f"{place.name}.pages") / out.stem if zipped else place
        pages.mkdir(parents=True)
        _write_page(pages)
        write_json(pages / TEXT, {"corpus": public_name(corpus_of_study(study.folder))})
        for address, pack in _scripts(study, chosen, choice, progress):
            file = pages / "data" / f"{address}.js"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"cratelm.put(" + as_json(address) + b"," + as_json(pack) + b");\n")
        if zipped:
            Path(shutil.make_archive(str(pages), "zip", pages.parent, pages.name)).rename(place)

    write_whole(out, write)


def export_page(folder: Path, out: Path, progress: Progress, choice: Choice) -> None:
    """Write some units of the study in `folder` as one HTML file that needs no other.

    Raises InputError where `out` exists, or there are more than MOST_ON_ONE_PAGE units.
    """
    study = Study(folder)
    chosen = chosen_units(study, choice)
    _require_free(out)
    count = _count(chosen)
    if count > MOST_ON_ONE_PAGE:
        raise InputError(f"one HTML file holds at most {MOST_ON_ONE_PAGE} units, not {count:,}. Name some by --units.")

    def write(place: Path) -> None:
        place.write_bytes(one_page(static_files(), dict(_scripts(study, chosen, choice, progress))))

    write_whole(out, write)


def _require_free(out: Path) -> None:
    if out.exists():
        raise InputError(f"{out} exists. Choose another place, or remove it.")
    require_place(out)


def _count(chosen: Chosen) -> int:
    return sum(len(units) for layers in chosen.values() for units in layers.values())


def _scripts(study: Study, chosen: Chosen, choice: Choice, progress: Progress) -> Iterator[Script]:
    """Every document of an export, in order."""
    models = [study.models[name] for name in chosen]
    document = study_document(study, None)
    listed = {model["name"]: model for model in document["models"]}
    document |= {
        "models": [listed[name] | {"exported": list(layers)} for name, layers in chosen.items()],
        "export": {"block": UNITS_IN_BLOCK, "shelf": BLOCKS_ON_SHELF},
    }
    yield "study", packed(document)
    with progress.task("exporting", total=_count(chosen)) as bar:
        for number, model in enumerate(models):
            with Networks().open(model) as network:
                for layer, units in chosen[model.name].items():
                    yield f"{number}/{layer}", packed(some_units(layer_document(model, layer), units))
                    yield from _layer_scripts(f"{number}/{layer}", network, layer, units, choice, bar.advance)


def _layer_scripts(
    address: str, network: Network, layer: int, units: Sequence[int], choice: Choice, advance: Callable[[int], None]
) -> Iterator[Script]:
    shelf_units = UNITS_IN_BLOCK * BLOCKS_ON_SHELF
    for shelf, on_shelf in groupby(units, lambda unit: unit // shelf_units):
        text = Text()
        for block, group in groupby(on_shelf, lambda unit: unit // UNITS_IN_BLOCK):
            members = list(group)
            yield f"{address}/units-{block}", _block(network, layer, members, text, choice)
            advance(len(members))
        yield f"{address}/text-{shelf}", packed(text.document(network.viewed.texts))


def _block(network: Network, layer: int, units: Sequence[int], text: Text, choice: Choice) -> str:
    document, levels = unit_block(network.viewed, layer, units, text, choice.controls)
    for unit, weights in zip(units, weights_documents(network, layer, units), strict=True):
        document["units"][unit]["weights"] = weights
    return packed(document, levels)


def _write_page(folder: Path) -> None:
    for name, content in static_files().items():
        if name == "index.html":
            policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
            page = content.decode().replace('="/', '="')
            content = page.replace("<head>", f"<head>\n    {policy}\n    {EXPORTED}").encode()
        (folder / name).write_bytes(content)
