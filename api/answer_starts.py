"""ASGI's messages that carry an answer's headers: those of HTTP, and of the handshake of a WebSocket, which
is answered to an HTTP request as well."""

ACCEPTED = "websocket.accept"
STARTS = frozenset({"http.response.start", "websocket.http.response.start", ACCEPTED})
