"""The command line. Nothing heavy is imported before a command runs.

Exit status: 0 done; 1 a bug of ours; 2 the input is at fault; 3 the run or its surroundings failed; 130
interrupted; 143 terminated.
"""

import ast
import errno
import itertools
import os
import shlex
import signal
import sys
from difflib import get_close_matches
from importlib.resources import files
from types import FrameType
from typing import NoReturn

from cyclopts import App, CycloptsError, Group, MissingArgumentError, Parameter
from rich.console import Console

from cratelm import __version__
from cratelm.errors import InputError, RunError, first_line
from cratelm.own_flags import with_own_flags

INTERRUPTED, TERMINATED = 130, 143
NAMES_AT_FAULT = (
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENOTEMPTY,
    errno.ENAMETOOLONG,
    errno.ELOOP,
)
"""What the system says of a path that somebody gave; everything else is the surroundings' fault."""


def _layers(*call) -> None:
    from cratelm.settings import layers

    layers(*call)


app = App(
    name="cratelm",
    help="Train language models whose neurons can be read, and measure how readable they are. Begin with: cratelm demo",
    version=__version__,
    config=_layers,
    suppress_keyboard_interrupt=False,
    # Nothing is on unless it is asked for, so --no-json would say nothing. --NAME=false undoes what a preset turns on.
    default_parameter=Parameter(negative=()),
)
COMMANDS = {
    "Study": ("study", "reproduce"),
    "Data": ("tokenize",),
    "Models": ("train", "eval", "sae", "import"),
    "Measure": ("measure", "record", "effects", "analyze", "match"),
    "Explain": ("explain", "score", "agree", "validate"),
    "Look": ("demo", "show", "view", "why", "steer"),
    "Extend": ("export", "push"),
}
"""What `cratelm --help` lists, in this order. A command's line there is the first one of its docstring."""
FUNCTIONS = {"eval": "evaluate", "import": "import_model"}
"""The functions of commands whose own names mean something else in Python."""
USAGES = {
    "steer": "Usage: cratelm steer [OPTIONS] MODEL UNIT=VALUE...",
    "tokenize": "Usage: cratelm tokenize --out PATH [OPTIONS] [CORPUS]",
}
"""Where cyclopts would say ARGS."""
EXAMPLE = "\n\nExamples\n--------\n"
"""The heading of the example in a command's docstring. The example ends the command's help."""


def _register(name: str, group: Group, place: int) -> None:
    function = FUNCTIONS.get(name, name)
    # Read, not imported: a command's module imports its settings, and twenty of them would take a second.
    tree = ast.parse(files("cratelm.commands").joinpath(f"{function}.py").read_bytes())
    (found,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function)
    where, words = f"cratelm.commands.{function}:{function}", ast.get_docstring(found) or ""
    about, _, example = words.partition(EXAMPLE)
    shown = f"Example: `{' '.join(example.split())}`"
    lines = {"help": about, "help_epilogue": shown, "usage": USAGES.get(name)}
    app.command(where, name=name, group=group, sort_key=place, **lines)


for title, names in COMMANDS.items():
    ordered = Group.create_ordered(title)
    for place, name in enumerate(names):
        _register(name, ordered, place)
options = Group.create_ordered("Options")
for flag in ("--help", "--version"):
    app[flag].group = options


def main() -> NoReturn:
    """Run the command on the command line and exit with its status."""
    # Nothing leaves the machine unless it was asked for.
    for variable in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK", "HF_HUB_DISABLE_PROGRESS_BARS"):
        os.environ.setdefault(variable, "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    let_threads_wait()
    signal.signal(signal.SIGTERM, _terminate)
    for stream in (sys.stdout, sys.stderr):  # whatever a terminal cannot show is no reason to fail
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(run(sys.argv[1:]))


SPINS = "1000"
"""How often a thread of OpenMP looks for work before it sleeps. As long as it looks, it keeps a core from others."""


def let_threads_wait() -> None:
    """Let waiting threads of this process and its children sleep soon, unless the user has set it otherwise.

    torch's threads wait for each other thousands of times a second. GNU OpenMP spins for milliseconds each time: one
    busy process next to a training then takes two thirds of its speed (docs/training.md).
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPINS  # OpenMP reads it when torch is imported


class Terminated(BaseException):
    """Somebody asked the process to end."""


def _terminate(signal_number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def run(arguments: list[str]) -> int:
    """Run one command; gives its exit status. Errors go to stderr."""
    try:
        _require_unicode(arguments)
        app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except (KeyboardInterrupt, Terminated) as stop:
        # A command that writes no stage, such as `view`, leaves nothing to go on from.
        to_go_on = arguments[:1] == ["measure"] or any(argument.split("=")[0] == "--out" for argument in arguments)
        kept = f"; what is done is kept. To go on: {shlex.join(['cratelm', *arguments])}" if to_go_on else "."
        _say(f"interrupted{kept}")
        return TERMINATED if isinstance(stop, Terminated) else INTERRUPTED
    except SystemExit as stop:
        if not isinstance(stop.__context__, BrokenPipeError):
            raise
        return _reader_left()  # rich leaves so
    except BrokenPipeError:
        return _reader_left()
    except Exception as error:
        return _explain(error, arguments)
    return 0


def _require_unicode(arguments: list[str]) -> None:
    """Refuse names that no manifest could hold: bytes that are no UTF-8 arrive as halves of surrogate pairs."""
    for argument in arguments:
        if argument.encode(errors="replace") != argument.encode(errors="surrogateescape"):
            raise InputError(f"{argument!a} is not UTF-8. Rename the file, or give another name.")


def _reader_left() -> int:
    """The program that read stdout has seen enough, as `head` does; what Python flushes at its end goes nowhere."""
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123  a device, not a file of anybody's
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    return 0


def _explain(error: Exception, arguments: list[str]) -> int:
    """Say what went wrong, and give the exit status; a bug of ours is raised again."""
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        status, message = 2, _missing(error, error.argument.name, arguments)
    elif isinstance(error, CycloptsError):
        status, message = 2, str(error)
    elif isinstance(error, InputError | RunError):
        status, message = 2 if isinstance(error, InputError) else 3, with_own_flags(str(error), _flags(arguments))
    elif isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        status, message = 2, f"the name {error.object!a} is not UTF-8. Rename the file."
    elif isinstance(error, OSError):
        status = 2 if error.errno in NAMES_AT_FAULT else 3
        about = "" if error.filename is None else f"{error.filename}: "
        message = about + (error.strerror or first_line(error))
    elif isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        status, message = 3, f"the memory is full ({first_line(error)}). Choose smaller settings, such as --batch."
        message = with_own_flags(message, _flags(arguments))
    else:
        raise error
    _say(message)
    return status


def _missing(error: MissingArgumentError, name: str, arguments: list[str]) -> str:
    """A required argument that is missing, or an option without its value. A misspelt option may be to blame."""
    command = shlex.join(["cratelm", *(error.command_chain or ())])
    near = get_close_matches(name, [word for word in arguments if word.startswith("--")], n=1)
    like = f" Did you mean {name} instead of {near[0]}?" if near and near[0] != name else ""
    what = f"a value for {name}" if name.startswith("-") else name
    return f"{command} needs {what}.{like} See {command} --help."


def _flags(arguments: list[str]) -> set[str]:
    """The flags of the command on a command line."""
    command = next(iter(arguments), "")
    if command not in itertools.chain.from_iterable(COMMANDS.values()):
        return set()
    try:
        collection = app[command].assemble_argument_collection()
    except InputError:  # the error to explain is the command's own import: it never had flags
        return set()
    return {name for argument in collection for name in argument.names}


def _say(message: str) -> None:
    Console(stderr=True).print(f"cratelm: {message}", markup=False, highlight=False, soft_wrap=True)
