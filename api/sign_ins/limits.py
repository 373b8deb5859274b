"""What bounds signing in."""

from dataclasses import dataclass
from datetime import timedelta

from api.client_address import Proxies


@dataclass(frozen=True)
class AttemptLimits:
    """Failed attempts at one name, and from one address, within the time; `proxies` may say whose
    address it is."""

    per_name: int
    per_address: int
    within: timedelta
    proxies: Proxies


@dataclass(frozen=True)
class TokenLifetimes:
    """`sign_in`: for so long new tokens can be got for one sign-in."""

    access: timedelta
    refresh: timedelta
    sign_in: timedelta
