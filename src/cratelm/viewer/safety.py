"""Who may ask what of the viewer, and how much: the guards around every request.

The viewer is one person's, on their own machine. Other pages open in the same browser must not be able to read the
study or use the model through it, nor must a name that somebody else's server resolves to this machine (DNS
rebinding); and no request may cost more than a bounded amount of work.
"""

from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any, TypeVar

import anyio
from anyio import CapacityLimiter, to_thread
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
LONGEST_BODY = 64 * 1024
"""Bytes of a request."""
LONGEST_TARGET = 2048
"""Bytes of an address of data with its query; long texts travel in bodies."""
LONGEST_PAGE = 80 * 1024
"""Bytes of a page's address, which holds a typed text of 8,000 characters, of up to 9 bytes each."""
ARRIVAL = 30
"""Seconds that a request's body may take to arrive."""
SECONDS = 30
"""How long a request may take to be answered."""
WAITING = 8
"""Requests that may wait for the model while another one has it."""

Result = TypeVar("Result")


def guards(hosts: list[str]) -> list[Middleware]:
    """The middleware around the application; `hosts` are the names that it may be called by."""
    return [
        Middleware(GZipMiddleware, minimum_size=1024, compresslevel=4),
        Middleware(SafeHeaders),
        Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
        Middleware(SameOrigin),
    ]


class SafeHeaders:
    """Puts HEADERS on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        extra = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class SameOrigin:
    """Refuses what another site's page asks for, and addresses that are too long.

    A link from elsewhere may open a page; data and trying are for our own page, or for a program without an origin.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] == "http":
            refusal = _refusal(Request(scope))
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _refusal(request: Request) -> Response | None:
    longest = LONGEST_TARGET if request.url.path.startswith("/api/") else LONGEST_PAGE
    if len(request.scope.get("raw_path", b"")) + len(request.scope["query_string"]) > longest:
        return failure(414, f"the address is longer than {longest:,} bytes. Give a shorter text.")
    if request.method not in ("GET", "HEAD", "POST"):
        return failure(405, "reading is GET, trying is POST.")
    private = request.method == "POST" or request.url.path.startswith("/api/")
    if private and not _same_origin(request):
        return failure(403, "asked for by a page of another site.")
    if request.method == "POST" and request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return failure(415, "send JSON.")
    return None


def _same_origin(request: Request) -> bool:
    """Whether the browser says that our own page asks; programs other than browsers say nothing."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
    ours = (f"http://{request.headers.get('host')}", f"https://{request.headers.get('host')}")
    return site in ("same-origin", "none") and (origin is None or origin in ours)


def failure(status: int, message: str) -> JSONResponse:
    """What went wrong, for the page to show."""
    return JSONResponse({"error": message}, status)


async def read_body(request: Request) -> bytes | None:
    """A request's body, or None where it is too long, too slow, or breaks off."""
    body = bytearray()
    with anyio.move_on_after(ARRIVAL):
        try:
            async for part in request.stream():
                body += part
                if len(body) > LONGEST_BODY:
                    return None
            return bytes(body)
        except ClientDisconnect:
            return None
    return None


class Turn:
    """One piece of work at a time, in a thread; a few may wait, more are refused."""

    def __init__(self, advice: str) -> None:
        """`advice` is for whoever gets no answer in time."""
        self._advice, self._limiter, self._lock = advice, CapacityLimiter(1), Lock()

    async def take(self, work: Callable[[], Result]) -> Result:
        """Do the work; raises Busy where too many wait already, or it takes too long."""
        if self._limiter.statistics().tasks_waiting >= WAITING:
            raise Busy("too much is asked at once. Try again in a moment.")
        try:
            with anyio.fail_after(SECONDS):
                return await to_thread.run_sync(
                    partial(self._alone, work), limiter=self._limiter, abandon_on_cancel=True
                )
        except TimeoutError as error:
            raise Busy(f"no answer within {SECONDS} seconds. {self._advice}") from error

    def _alone(self, work: Callable[[], Any]) -> Any:
        # Work that was given up on still runs: the next one waits for it, since both would hook the same model.
        with self._lock:
            return work()


class Busy(Exception):
    """The server has too much to do."""
