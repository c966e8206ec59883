"""The viewer as a process: bound to this machine unless somebody says otherwise."""

import os
import socket
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from cratelm.errors import InputError, RunError, first_line
from cratelm.progress import Progress

if TYPE_CHECKING:
    from cratelm.viewer.judging import Judge

LOOPBACK = "127.0.0.1"
NAMES = [LOOPBACK, "localhost"]


def require_view() -> None:
    """Raise InputError, saying how to get them, where the extra's packages are missing."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise InputError("the viewer needs the extra `view`: pip install -c constraints.txt '.[view]'") from error


def serve(
    folder: Path,
    host: str,
    port: int,
    progress: Progress,
    open_judge: "Callable[[], Judge] | None" = None,
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve the study in `folder` until somebody ends the process.

    `open_judge` gives who reads sentences; `ready` is told the page's address as soon as it can be asked for.
    """
    require_view()
    import uvicorn

    from cratelm.viewer.api import Viewer
    from cratelm.viewer.connections import CONNECTIONS, BoundedProtocol
    from cratelm.viewer.safety import LONGEST_PAGE
    from cratelm.viewer.viewed_study import Study

    study = Study(folder)
    judge = None if open_judge is None else open_judge()
    with _bound(host, port) as listening:
        bound_port = listening.getsockname()[1]
        if host not in NAMES:
            progress.say(
                f"{host} is not this machine alone: whoever reaches port {bound_port} can read the study and run its "
                "models. There is no password. Leave out --host to keep it to yourself."
            )
        address = f"http://{host}:{bound_port}"
        progress.say(f"Viewing {study.folder} at {address} (Ctrl-C ends it)")
        app = Viewer(study, judge).application(sorted({*NAMES, host}))
        config = uvicorn.Config(
            app,
            log_level="error",
            access_log=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=5,
            h11_max_incomplete_event_size=LONGEST_PAGE + 16 * 1024,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            server_header=False,
        )
        ready(address)  # the socket listens already: a browser that is faster than the server waits
        uvicorn.Server(config).run(sockets=[listening])


def open_in_browser(address: str) -> None:
    """Open a page in the user's browser, where there is a screen; one that runs in the terminal is not started."""
    if sys.platform in ("darwin", "win32") or {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"} & os.environ.keys():
        Thread(target=webbrowser.open, args=[address], daemon=True).start()  # some browsers are waited for


def _bound(host: str, port: int) -> socket.socket:
    try:
        socket.getaddrinfo(host, port)
    except (OSError, UnicodeError) as error:
        raise InputError(f"--host {host} is not an address of this machine ({first_line(error)}).") from error
    try:
        return socket.create_server((host, port))
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise RunError(f"cannot listen on {host}, port {port}: {reason}. Give another --port.") from error
