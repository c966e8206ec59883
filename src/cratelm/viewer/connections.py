"""Connections that send nothing, or read nothing, or do so too slowly, and hold nobody else up.

A server that takes so many connections and no more can be locked by clients that open them and keep silent, or ask
and never read the answer. Here a connection has HEADER_SECONDS for the headers of a request, and READING_SECONDS to
take something of what was answered; and where connections become many, those that keep the server waiting make room
for new ones, the oldest first.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS = 64
"""Requests and connections at the same time; a request beyond them is answered with 503."""
OWING = CONNECTIONS // 2
"""Connections at the same time that may keep the server waiting: the other half is for those that do not."""
OWING_AN_ADDRESS = OWING // 2
"""The same for one address that is not this machine's, so that one client does not use up what all have."""
HEADER_SECONDS = 10.0
READING_SECONDS = 60.0


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 by uvicorn and h11, with a limit on how long, and on how many at the same time, the server waits."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._patience: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None

    @property
    def owes(self) -> bool:
        """Whether a whole request has yet to arrive, headers or a body, or an answer has yet to be taken."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body or self.unread > 0

    @property
    def unread(self) -> int:
        """Bytes of answers that neither the client nor the system has taken."""
        return self.transport.get_write_buffer_size()

    @property
    def address(self) -> str:
        """Who has connected."""
        return self.client[0] if self.client else ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock, and make room where too many owe a request."""
        super().connection_made(transport)
        self._wait()
        self._expect_reading(0)
        bounded = [connection for connection in self.connections if isinstance(connection, BoundedProtocol)]
        owing = [connection for connection in bounded if connection.owes and connection.is_open]
        owing.sort(key=lambda connection: connection.began)
        of_address = [connection for connection in owing if connection.address == self.address]
        local = self.address in ("127.0.0.1", "::1")
        surplus = [] if local else _oldest_beyond(of_address, OWING_AN_ADDRESS)
        for connection in [*_oldest_beyond(owing, OWING), *surplus]:
            connection.transport.abort()  # close() would wait until its client has read what was answered

    @property
    def is_open(self) -> bool:
        """Whether it is there: one that was closed stays as long as something of an answer is unread."""
        return self.unread > 0 or not self.transport.is_closing()

    def _wait(self) -> None:
        self.began = self.loop.time()
        self._patience = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _give_up(self) -> None:
        self._patience = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _expect_reading(self, before: int) -> None:
        """Give up a client that has taken nothing of `before` unread bytes; look again after READING_SECONDS."""
        now = self.unread
        if 0 < before <= now:
            self.transport.abort()
        else:
            self._reading = self.loop.call_later(READING_SECONDS, self._expect_reading, now)

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
        for clock in (self._patience, self._reading):
            if clock is not None:
                clock.cancel()
        super().connection_lost(exc)


def _oldest_beyond(connections: list[BoundedProtocol], most: int) -> list[BoundedProtocol]:
    """Those, the oldest first, that are more than `most`."""
    return connections[: max(0, len(connections) - most)]
