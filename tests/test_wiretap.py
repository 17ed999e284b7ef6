"""The wiretap: passes every byte on, keeps a copy, and reads it as HTTP."""

import contextlib
import http.client
import http.server
import socket
import threading

import numpy as np
import pytest

from fedcore import wiretap
from fedcore.wiretap import HOST, Stream, Wiretap


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers a POST with its body, doubled; /chunked in chunks."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in (body, body):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_header("Content-Length", str(2 * len(body)))
        self.end_headers()
        self.wfile.write(2 * body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer((HOST, 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def npy(array):
    import io

    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_it_passes_on_and_keeps_a_copy(server):
    update = np.arange(5000, dtype=np.float32)
    with Wiretap(server) as tap:
        with contextlib.closing(http.client.HTTPConnection(HOST, tap.port)) as node:
            for path, body in (("/a", b"one"), ("/b", b"x" + npy(update)), ("/chunked", b"two")):
                node.request("POST", path, body)
                assert node.getresponse().read() == 2 * body
        (stream,) = tap.streams
        assert tap.n_down == len(stream.down)
    found = list(wiretap.exchanges(stream))
    assert [e.path for e in found] == ["/a", "/b", "/chunked"]
    assert [e.request for e in found] == [b"one", b"x" + npy(update), b"two"]
    assert [e.response for e in found] == [b"oneone", 2 * found[1].request, b"twotwo"]
    for array in wiretap.arrays(found[1].response):
        np.testing.assert_array_equal(array, update)
    assert len(wiretap.arrays(found[1].response)) == 2
    assert wiretap.arrays(b"no array here") == []


def test_an_unfinished_exchange_is_left_out(server):
    with Wiretap(server) as tap:
        with contextlib.closing(http.client.HTTPConnection(HOST, tap.port)) as node:
            for body in (b"first", b"second"):
                node.request("POST", "/", body)
                node.getresponse().read()
        (stream,) = tap.streams
    for cut in (Stream(stream.up[:-2], stream.down), Stream(stream.up, stream.down[:-2])):
        assert [e.request for e in wiretap.exchanges(cut)] == [b"first"]
    assert list(wiretap.exchanges(Stream(b"", b""))) == []


def test_what_is_not_plain_http_is_refused():
    with pytest.raises(ValueError, match="plain HTTP"):
        list(wiretap.exchanges(Stream(b"\x16\x03\x01\x02\x00 hello \r\n\r\n", b"")))
    up = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    down = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab"
    with pytest.raises(ValueError, match="compressed"):
        list(wiretap.exchanges(Stream(up, down)))


def test_a_dead_server_is_not_hidden():
    with socket.create_server((HOST, 0)) as gone:
        port = gone.getsockname()[1]
    with (
        Wiretap(port) as tap,
        contextlib.closing(socket.create_connection((HOST, tap.port))) as node,
    ):
        node.settimeout(60)
        assert node.recv(1) == b""
    assert tap.streams == []


def test_close_breaks_connections_and_ends_every_thread():
    before = set(threading.enumerate())
    with socket.create_server((HOST, 0)) as server:
        tap = Wiretap(server.getsockname()[1]).__enter__()
        node = socket.create_connection((HOST, tap.port))
        peer, _ = server.accept()
        with node, peer:
            node.sendall(b"hello")
            assert peer.recv(5) == b"hello"
            tap.close()
            node.settimeout(60)
            assert node.recv(1) == b""
    assert tap.streams == [Stream(b"hello", b"")]
    assert set(threading.enumerate()) <= before  # which may hold some that end by themselves
