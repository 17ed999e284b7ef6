"""What crosses a connection, recorded: a TCP proxy on loopback, and its record read as HTTP.

The proxy stands between a SuperNode and the SuperLink, passes every byte on unchanged, and keeps a
copy. It counts what TCP carries; headers of TCP and IP, and acknowledgements, come on top.
"""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

HOST = "127.0.0.1"
CHUNK = 65536
NPY = b"\x93NUMPY"  # how an array in NumPy's own format begins


class Stream(NamedTuple):
    """One TCP connection: the bytes from the node to the server, and those from the server."""

    up: bytes
    down: bytes


class Exchange(NamedTuple):
    """One HTTP request and its answer: the path asked for, and both bodies."""

    path: str
    request: bytes
    response: bytes


class Wiretap:
    """A context manager: connect to ``port`` of it instead of to ``target``, and it keeps a copy.

    target: the port on loopback to pass everything on to.
    """

    def __init__(self, target: int):
        self.target = target
        self._records: list[tuple[bytearray, bytearray]] = []
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._closed = False

    def __enter__(self) -> Wiretap:
        self._server = socket.create_server((HOST, 0))
        self.port = self._server.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Break all connections; what was recorded stays."""
        self._closed = True
        for each in [self._server, *self._sockets]:
            with contextlib.suppress(OSError):  # not connected any more
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join()

    @property
    def streams(self) -> list[Stream]:
        """What was recorded so far, a Stream for each connection, in the order of their begin."""
        return [Stream(bytes(up), bytes(down)) for up, down in list(self._records)]

    @property
    def n_down(self) -> int:
        """Bytes that came from the server so far."""
        return sum(len(down) for _, down in list(self._records))

    def _start(self, work, *arguments) -> None:
        thread = threading.Thread(target=work, args=arguments, name="wiretap", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                node, _ = self._server.accept()
            except OSError:  # closed, by close()
                return
            try:
                server = socket.create_connection((HOST, self.target))
            except OSError:  # nobody there: the node learns it as it would without us
                node.close()
                continue
            self._sockets += [node, server]
            up, down = bytearray(), bytearray()
            self._records.append((up, down))
            self._start(_pass_on, node, server, up)
            self._start(_pass_on, server, node, down)


def _pass_on(source: socket.socket, goal: socket.socket, record: bytearray) -> None:
    try:
        while data := source.recv(CHUNK):
            record += data
            goal.sendall(data)
        goal.shutdown(socket.SHUT_WR)
    except OSError:  # one side is gone: the other one shall know
        for each in (source, goal):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def exchanges(stream: Stream) -> Iterator[Exchange]:
    """The HTTP requests and answers of ``stream``, whole ones only, bodies unpacked of chunks.

    Raises ValueError if it is not plain HTTP, or if a body is compressed and would not be found.
    """
    import h11

    node, server = h11.Connection(h11.SERVER), h11.Connection(h11.CLIENT)
    try:
        node.receive_data(stream.up)
        server.receive_data(stream.down)
        while request := _message(node, server):
            response = _message(server, node)
            if response is None:
                return
            yield Exchange(request[0].target.decode(), request[1], response[1])
            if h11.MUST_CLOSE in (node.our_state, node.their_state):
                return
            node.start_next_cycle()
            server.start_next_cycle()
    except h11.ProtocolError as error:
        raise ValueError(f"stream must be plain HTTP/1.1, and is not: {error}") from error


def _message(reader, writer):
    """(head, body) of the next whole message; ``writer`` is told, so that it expects an answer."""
    import h11

    head, body = None, b""
    while True:
        event = reader.next_event()
        if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
            return None
        if isinstance(event, h11.Request | h11.Response):
            head = event
            if dict(event.headers).get(b"content-encoding", b"identity") != b"identity":
                raise ValueError("a body is compressed: unpack it before you search in it")
        if isinstance(event, h11.Data):
            body += event.data
        writer.send(event)
        if isinstance(event, h11.EndOfMessage):
            return head, body


def arrays(body: bytes) -> list[np.ndarray]:
    """The arrays in NumPy's own format that lie in ``body``, whatever is around them."""
    found, start = [], body.find(NPY)
    while start >= 0:
        found.append(np.lib.format.read_array(io.BytesIO(body[start:]), allow_pickle=False))
        start = body.find(NPY, start + len(NPY))
    return found
