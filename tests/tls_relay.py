"""A TLS terminator before a server that speaks none here: what stunnel or a load balancer is elsewhere.

It takes connections with a real handshake and passes on what they carry. The development server of
Temporal, the packaged PostgreSQL (built without OpenSSL) and clamd have no TLS of their own.
"""

import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

PIECE_BYTES = 65536
LONGEST_SECONDS = 120.0
_SSL_REQUEST = struct.pack(">II", 8, 80877103)
_GSS_REQUEST = struct.pack(">II", 8, 80877104)
Greeting = Callable[[socket.socket], bool]


@contextmanager
def tls_before(
    server: str, tls: ssl.SSLContext, greeting: Greeting | None = None, port: int = 0
) -> Iterator[int]:
    """The port on 127.0.0.1, that one or a free one, where TLS is spoken for the server at a socket's path
    or host:port. `greeting` is what precedes the handshake, and whether there is to be one."""
    listening = socket.create_server(("127.0.0.1", port))
    listening.settimeout(0.2)
    ended = threading.Event()
    threads: list[threading.Thread] = []

    def serve(taken: socket.socket) -> None:
        taken.settimeout(LONGEST_SECONDS)
        with closing(taken), suppress(OSError):
            if greeting is None or greeting(taken):
                _terminate(taken, tls, server, ended)

    def accept() -> None:
        while not ended.is_set():
            with suppress(TimeoutError):
                taken, _ = listening.accept()
                thread = threading.Thread(target=serve, args=(taken,))
                thread.start()
                threads.append(thread)

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        ended.set()
        accepting.join()
        for thread in threads:
            thread.join()
        listening.close()


def postgresql_greeting(taken: socket.socket) -> bool:
    """PostgreSQL's way into TLS (protocol 3, SSLRequest); whoever does not ask for it is shown out."""
    while True:
        request = taken.recv(8, socket.MSG_PEEK)
        if request == _GSS_REQUEST:
            taken.recv(8)
            taken.sendall(b"N")
        elif request == _SSL_REQUEST:
            taken.recv(8)
            taken.sendall(b"S")
            return True
        else:
            return False


def _terminate(
    taken: socket.socket, tls: ssl.SSLContext, server: str, ended: threading.Event
) -> None:
    outside = tls.wrap_socket(taken, server_side=True, do_handshake_on_connect=False)
    try:
        outside.do_handshake()
    except ssl.SSLError:
        _await_departure(socket.socket(fileno=outside.detach()))
    else:
        with outside, _connect(server) as inside:
            _pass_on(outside, inside, ended)


def _await_departure(refused: socket.socket) -> None:
    """The alert is on its way; whoever it is for reads it before the connection is gone."""
    with refused:
        refused.settimeout(10.0)
        refused.shutdown(socket.SHUT_WR)
        while refused.recv(PIECE_BYTES):
            pass


def _connect(server: str) -> socket.socket:
    if server.startswith("/"):
        inside = socket.socket(socket.AF_UNIX)
        inside.connect(server)
        return inside
    host, _, port = server.rpartition(":")
    return socket.create_connection((host, int(port)), LONGEST_SECONDS)


def _pass_on(outside: ssl.SSLSocket, inside: socket.socket, ended: threading.Event) -> None:
    """Until one side has hung up, or the test is over."""
    while not ended.is_set():
        readable = (
            [outside] if outside.pending() else select.select([outside, inside], [], [], 0.1)[0]
        )
        for side, other in ((outside, inside), (inside, outside)):
            if side in readable:
                piece = side.recv(PIECE_BYTES)
                if not piece:
                    return
                other.sendall(piece)
