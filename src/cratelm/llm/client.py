"""The openai client, held to one host.

The client brings retries, waits and timeouts. What it cannot do is below, in a transport of its own:

- It reads the environment: OPENAI_CUSTOM_HEADERS, OPENAI_ORG_ID and others become headers, and no argument turns that
  off. The transport sends headers of ours alone, so the client never sees the key either.
- It bounds the wait for each piece of an answer, and neither the whole time nor the size.
- It takes an answer that is not JSON for text, where it should send the request again.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import openai

from cratelm.errors import InputError, RunError

KEY = "CRATELM_LLM_KEY"
LARGEST = 32_000_000
"""Bytes of one answer."""
BUSY = (408, 409, 429)
"""The client sends a request again after these, and after 500 and above."""


class Refused(Exception):
    """The server understood a request and does not serve it."""

    def __init__(self, reason: str, said: str = "") -> None:
        """`reason` is short, for people; `said` is all that the server said."""
        super().__init__(reason)
        self.reason, self.said = reason, said


class Unreachable(RunError):
    """No answer came, after all attempts."""

    def __init__(
        self,
        address: str,
        attempts: int,
        trouble: str,
        said: str | None = None,
        *,
        connected: bool = True,
        busy: bool = False,
    ) -> None:
        """`trouble` is that of the last attempt, and `said` what the server said, None where it sent nothing of use.

        `connected` is False where nobody listens at the address. `busy`: the server took too long or asked to wait,
        which says nothing about what it can do.
        """
        super().__init__(
            f"{address} did not answer in {attempts} attempts; the last: {trouble}. "
            "Answers so far are kept: run the same command again to go on."
        )
        self.reason = f"no answer in {attempts} attempts; the last: {trouble}"
        self.said, self.connected, self.busy = said, connected, busy


def connect(url: str, key: str, timeout: float, connections: int, attempts: int) -> openai.OpenAI:
    """A client of the server at `url`; `timeout`, in seconds, bounds a whole answer."""
    transport = _Transport(key, timeout, connections)
    http = httpx2.Client(transport=transport, timeout=timeout, follow_redirects=False, trust_env=False)
    # What is not given is read from the environment, so everything is given; the transport sends none of it.
    return openai.OpenAI(
        base_url=url,
        api_key="-",
        admin_api_key="-",
        organization="",
        project="",
        webhook_secret="-",
        max_retries=attempts - 1,
        http_client=http,
    )


class _Transport(httpx2.BaseTransport):
    """Sends a request under our own headers, and reads its whole answer within a size and a time."""

    def __init__(self, key: str, timeout: float, connections: int) -> None:
        self._inner = httpx2.HTTPTransport(trust_env=False, limits=httpx2.Limits(max_connections=connections))
        self._key, self._timeout = key.encode(), timeout
        # Not compressed: a small answer could unpack to one without end.
        self._headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "cratelm"}
        self._headers |= {"Authorization": f"Bearer {key}"} if key else {}

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """As BaseTransport.handle_request; RunError for an answer that is too large or packed."""
        deadline, data = time.monotonic() + self._timeout, request.read()
        headers = self._headers | ({"Content-Type": "application/json"} if data else {})
        timeouts = {"timeout": request.extensions.get("timeout", {})}
        ours = httpx2.Request(request.method, request.url, headers=headers, content=data, extensions=timeouts)
        response = self._inner.handle_request(ours)
        try:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise RunError(
                    f"{request.url} sent a compressed answer, which it was not asked for. "
                    "It is not a language model's server."
                )
            said = self._read(response, request, deadline)
        finally:
            response.close()
        return self._checked(response, request, said)

    def _read(self, response: httpx2.Response, request: httpx2.Request, deadline: float) -> bytes:
        data = bytearray()
        assert isinstance(response.stream, httpx2.SyncByteStream)
        for part in response.stream:
            data += part
            if len(data) > LARGEST:
                raise RunError(
                    f"{request.url} sent more than {LARGEST} bytes for one answer. It is not a language model's server."
                )
            if time.monotonic() > deadline:
                raise httpx2.ReadTimeout(f"the answer took more than {self._timeout:g} s", request=request)
        return bytes(data)

    def _checked(self, response: httpx2.Response, request: httpx2.Request, data: bytes) -> httpx2.Response:
        """The answer as the client takes it: an object of JSON, or an error that does not repeat the key."""
        if response.is_success:
            _require_json(data, request)
        elif self._key:
            data = data.replace(self._key, b"***")
        again = {name: response.headers[name] for name in _FOR_RETRIES if name in response.headers}
        headers = again | {"Content-Type": "application/json"}
        return httpx2.Response(response.status_code, headers=headers, content=data, request=request)

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


_FOR_RETRIES = ("Retry-After", "Retry-After-Ms", "X-Should-Retry")


def _require_json(data: bytes, request: httpx2.Request) -> None:
    try:
        answer = json.loads(data)
    except ValueError as error:
        raise httpx2.DecodingError(f"an answer that is not JSON ({error})", request=request) from error
    if not isinstance(answer, dict):
        raise httpx2.DecodingError("an answer that is not a JSON object", request=request)
    if answer.get("error"):  # some gateways report the failure of the server behind them with status 200
        raise httpx2.DecodingError("an error with the status of a success", request=request)


@contextmanager
def named_errors(attempts: int) -> Iterator[None]:
    """The client's errors as ours: Unreachable, Refused, InputError for a missing key, RunError for a redirect."""
    try:
        yield
    except openai.APIStatusError as error:
        raise _named(error, attempts) from None  # its text may be long
    except openai.APIConnectionError as error:
        cause = error.__cause__ or error
        listens = not isinstance(cause, (httpx2.ConnectError, httpx2.ConnectTimeout))
        trouble = f"{type(cause).__name__} {cause}"
        late = isinstance(error, openai.APITimeoutError) and listens
        raise Unreachable(str(error.request.url), attempts, trouble, connected=listens, busy=late) from error


def _named(error: openai.APIStatusError, attempts: int) -> Exception:
    status, address, said = error.status_code, str(error.request.url), error.response.text
    if status in (401, 403):
        return InputError(f"{address} wants a key (status {status}). Put it into the environment as {KEY}.")
    if status in BUSY or status >= 500:
        wait = error.response.headers.get("Retry-After")  # beyond two minutes the client gives up at once
        trouble = f"status {status}" + (f", which asks to wait {wait} s" if wait else "")
        return Unreachable(address, attempts, trouble, said, busy=status in BUSY)
    if status < 400:
        return RunError(f"{address} redirects (status {status}), which is not followed. Name the server itself.")
    return Refused(f"status {status}: {' '.join(said[:300].split())}", said)
