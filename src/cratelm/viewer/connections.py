"""Connections that send nothing, or too slowly, and hold nobody else up.

A server that takes so many connections and no more can be locked by clients that open them and keep silent. Here a
connection has HEADER_SECONDS for the headers of a request; and where connections become many, those that still owe
their request make room for new ones, the oldest first.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS = 64
"""Requests and connections at the same time; a request beyond them is answered with 503."""
OWING = CONNECTIONS // 2
"""Connections at the same time that may owe a request: the other half is for those that have sent theirs."""
OWING_AN_ADDRESS = OWING // 2
"""The same for one address that is not this machine's, so that one client does not use up what all have."""
HEADER_SECONDS = 10.0


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 by uvicorn and h11, with a limit on how long, and on how many at the same time, a request is owed."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._patience: asyncio.TimerHandle | None = None

    @property
    def owes(self) -> bool:
        """Whether a whole request has yet to arrive: headers or a body."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    @property
    def address(self) -> str:
        """Who has connected."""
        return self.client[0] if self.client else ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock, and make room where too many owe a request."""
        super().connection_made(transport)
        self._wait()
        owing = [one for one in self.connections if isinstance(one, BoundedProtocol) and one.owes and one.is_open]
        owing.sort(key=lambda one: one.began)
        of_address = [one for one in owing if one.address == self.address]
        local = self.address in ("127.0.0.1", "::1")
        for one in [*owing[: len(owing) - OWING], *of_address[: 0 if local else len(of_address) - OWING_AN_ADDRESS]]:
            one.transport.close()

    @property
    def is_open(self) -> bool:
        """Whether nobody has closed it."""
        return not self.transport.is_closing()

    def _wait(self) -> None:
        self.began = self.loop.time()
        self._patience = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _give_up(self) -> None:
        self._patience = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Take in what has arrived; headers that come after an answer have their own time."""
        super().data_received(data)
        in_headers = self.cycle is None or self.cycle.response_complete
        if not in_headers and self._patience is not None:
            self._patience.cancel()
            self._patience = None
        elif in_headers and self._patience is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)
