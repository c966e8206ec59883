"""The command line. Nothing heavy is imported before a command runs.

Exit status: 0 done; 1 a bug of ours; 2 the input is at fault; 3 the run or its surroundings failed; 130
interrupted; 143 terminated.
"""

import os
import shlex
import signal
import sys
from types import FrameType
from typing import NoReturn

from cyclopts import App, CycloptsError
from rich.console import Console

from cratelm import __version__
from cratelm.errors import InputError, RunError

INTERRUPTED, TERMINATED = 130, 143


def _layers(*call) -> None:
    from cratelm.settings import layers

    layers(*call)


app = App(
    name="cratelm",
    help="White-box language models, and how readable their neurons are.",
    version=__version__,
    config=_layers,
    suppress_keyboard_interrupt=False,
)
app.command("cratelm.commands.agree:agree")
app.command("cratelm.commands.analyze:analyze")
app.command("cratelm.commands.evaluate:evaluate", name="eval")
app.command("cratelm.commands.explain:explain")
app.command("cratelm.commands.export:export")
app.command("cratelm.commands.import_model:import_model", name="import")
app.command("cratelm.commands.reproduce:reproduce")
app.command("cratelm.commands.sae:sae")
app.command("cratelm.commands.score:score")
app.command("cratelm.commands.steer:steer")
app.command("cratelm.commands.record:record")
app.command("cratelm.commands.show:show")
app.command("cratelm.commands.study:study")
app.command("cratelm.commands.tokenize:tokenize")
app.command("cratelm.commands.train:train")
app.command("cratelm.commands.validate:validate")
app.command("cratelm.commands.view:view")


def main() -> NoReturn:
    """Run the command on the command line and exit with its status."""
    # Nothing leaves the machine unless it was asked for.
    for variable in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK", "HF_HUB_DISABLE_PROGRESS_BARS"):
        os.environ.setdefault(variable, "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run(sys.argv[1:]))


class Terminated(BaseException):
    """Somebody asked the process to end."""


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def run(arguments: list[str]) -> int:
    """Run one command; gives its exit status. What went wrong is said on stderr."""
    try:
        app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except (KeyboardInterrupt, Terminated) as stop:
        _say(f"interrupted; what is done is kept. To go on: {shlex.join(['cratelm', *arguments])}")
        return TERMINATED if isinstance(stop, Terminated) else INTERRUPTED
    except (InputError, CycloptsError) as error:
        _say(str(error))
        return 2
    except RunError as error:
        _say(str(error))
        return 3
    return 0


def _say(message: str) -> None:
    Console(stderr=True).print(f"cratelm: {message}", markup=False, highlight=False, soft_wrap=True)
