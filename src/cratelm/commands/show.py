"""`cratelm show`."""

from pathlib import Path
from typing import Annotated

from cratelm.ranges import whole


def show(
    folder: Path,
    unit: str,
    /,
    *,
    half: str | None = None,
    count: Annotated[int, whole(1)] = 3,
    connections: bool = False,
    json: bool = False,
) -> None:
    """Print one unit: statistics, explanations, scores and excerpts.

    Excerpts are coloured by activation.

    Parameters
    ----------
    folder
        A study, or a folder that `cratelm record` made; either may be hub:OWNER/NAME[@REVISION].
    unit
        model/layer/index in a study, such as crate/1/37; layer/index in a recording.
    half
        The half of the text that excerpts are shown of; by default the one that explanations are scored on.
    count
        Excerpts of each kind that are shown.
    connections
        Also print which units of the layer below feed it and which it feeds. This runs the study's model.
    json
        Print all that is known as JSON on stdout, every excerpt included.

    Examples
    --------
    cratelm show runs/laptop crate/1/37
    """
    from cratelm.errors import InputError
    from cratelm.hub.fetch import local_folder
    from cratelm.output import print_json
    from cratelm.report.unit_facts import read_unit
    from cratelm.report.unit_terminal import print_unit

    known = read_unit(local_folder(folder), unit)
    halves = list(known["statistics"])
    if half is not None and half not in halves:
        raise InputError(f"--half {half}: the recording has {' and '.join(halves)}.")
    if connections:
        from cratelm.interface.opened_study import OpenedStudy

        known["connections"] = OpenedStudy(local_folder(folder)).connections(known["unit"])
    if json:
        print_json(known)
    else:
        print_unit(known, half or halves[-1], count)
