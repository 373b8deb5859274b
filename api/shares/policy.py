"""What the operator allows of sharing, and the process's means for it."""

from dataclasses import dataclass
from datetime import timedelta

from api.client_address import Proxies
from api.files.scan_policy import ScanPolicy
from api.shared_files.places import DownloadPlaces
from api.shares.passwords import SharePasswords
from db.queries.shares import TryLimits


@dataclass(frozen=True)
class SharingPolicy:
    """`public_url`: where the world finds this API, if the operator says so. `requires_clean`: only
    what a scanner found clean is served. `max_sessions`: how many of a link are remembered."""

    enabled: bool
    public_url: str | None
    proxies: Proxies
    default_life: timedelta
    longest_life: timedelta
    session_life: timedelta
    requires_clean: bool
    scans: ScanPolicy
    tries: TryLimits
    passwords: SharePasswords
    max_sessions: int
    downloads: DownloadPlaces
