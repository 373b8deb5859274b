"""TLS: what our clients go by, made from files that settings name, and what a refusal means. The
certificate of a server of ours is in `muniment.transport.server`, which the command line need not load."""

from muniment.transport.client import ClientFiles, RenewingContext, client_context
from muniment.transport.refusal import Refusal, TlsSettings, refusal_of

__all__ = [
    "ClientFiles",
    "Refusal",
    "RenewingContext",
    "TlsSettings",
    "client_context",
    "refusal_of",
]
