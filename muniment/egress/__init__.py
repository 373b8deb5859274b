"""The way out of the house: requests to addresses that somebody outside named.

`addresses` judges where a request may go, `destination` what a URL may be, `resolving` asks for a name's
addresses, `sending` sends a request there and nowhere else.
"""

from muniment.egress.addresses import IPNetwork, is_allowed
from muniment.egress.destination import Destination, EgressPolicy, destination, require_elsewhere
from muniment.egress.resolving import Resolver, SystemResolver
from muniment.egress.sending import Answer, Egress, tls_context

__all__ = [
    "Answer",
    "Destination",
    "Egress",
    "EgressPolicy",
    "IPNetwork",
    "Resolver",
    "SystemResolver",
    "destination",
    "is_allowed",
    "require_elsewhere",
    "tls_context",
]
