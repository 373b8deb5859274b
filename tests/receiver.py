"""Somebody outside who takes webhooks: a real HTTP server on loopback, over TLS where asked."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """`body` may be endless: it is sent until the other side has gone."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Iterator[bytes] | None = None


@dataclass
class Receiver:
    """`reply` says what it answers; `server_names` are those that TLS asked for."""

    port: int
    reply: Callable[[Received], Reply]
    received: list[Received] = field(default_factory=list)
    server_names: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


@contextmanager
def receiving(
    reply: Callable[[Received], Reply] | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            received = Received(self.path, headers, content)
            receiver.received.append(received)
            answer = receiver.reply(received)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            if answer.body is None:
                self.send_header("Content-Length", "0")
            self.end_headers()
            try:
                for piece in answer.body or ():
                    self.wfile.write(piece)
            except OSError:
                return

        def log_message(self, *_: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = False  # their ends are waited for

        def handle_error(self, *_: object) -> None:
            """Those who hang up, or do not trust us."""

        def finish_request(self, request: object, address: object) -> None:
            if tls is None:
                super().finish_request(request, address)  # type: ignore[arg-type] # typeshed: object
                return
            with tls.wrap_socket(request, server_side=True) as secured:  # type: ignore[arg-type] # typeshed: object
                super().finish_request(secured, address)  # type: ignore[arg-type] # typeshed: object

    server = Server(("127.0.0.1", 0), Handler)
    receiver = Receiver(server.server_port, reply or (lambda _: Reply()))
    if tls is not None:
        tls.sni_callback = lambda _, name, __: receiver.server_names.append(name or "")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(frozen=True)
class Authority:
    """A certificate authority of the test's own: its file, and what it vouched for."""

    file: Path
    server: ssl.SSLContext


def make_authority(folder: Path, host: str) -> Authority:
    """Vouches for a server of that name."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority of tests")])
    begin = datetime.now(UTC) - timedelta(days=1)
    end = begin + timedelta(days=10)
    own = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), begin, end
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    server_key = ec.generate_private_key(ec.SECP256R1())
    server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    server = (
        x509.CertificateBuilder(
            name, server_name, server_key.public_key(), x509.random_serial_number(), begin, end
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file, chain = folder / "authority.pem", folder / "server.pem"
    file.write_bytes(own.public_bytes(serialization.Encoding.PEM))
    chain.write_bytes(
        server.public_bytes(serialization.Encoding.PEM)
        + server_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return Authority(file, context)
