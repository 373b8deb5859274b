"""The virus scanner of an embedded stack: the machine's clamd, one of our own, or none, loudly."""

import contextlib
import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from deploy.embedded.child import ProcessSpec
from deploy.embedded.home import Home, write_privately
from deploy.embedded.places import LONGEST_SOCKET_PATH_BYTES, Places
from muniment.connections import open_scanner
from muniment.errors import ScannerUnavailable
from muniment.scanner import Clamd, failed_setting
from muniment.settings import ScanSettings

SOCKET_VARIABLE = "MUNIMENT_SCAN__SOCKET"
SYSTEM_SOCKETS = (
    Path("/run/clamav/clamd.ctl"),
    Path("/run/clamav/clamd.sock"),
    Path("/run/clamd.scan/clamd.sock"),
    Path("/var/run/clamav/clamd.ctl"),
)
_CONNECT_TIMEOUT_SECONDS = 2.0
_PROBE_SECONDS = 10.0
_SCAN_TIMEOUT_SECONDS = 20.0
"""For one scan of what it must not call clean: one that is at other scans too takes its time."""
_SIGNATURE_FOLDERS = (Path("/var/lib/clamav"), Path("/usr/local/share/clamav"))
_SIGNATURE_SUFFIXES = {".cvd", ".cld", ".ndb", ".hdb", ".hsb"}
SCANNING: Mapping[str, str] = MappingProxyType(
    {
        # Without this, what exceeds a limit is called clean.
        "AlertExceedsMax": "yes",
        # Nobody can look into these: without it they are called clean. Encrypted documents stay out
        # of it: a PDF whose password came with it is opened by an engine, and one without is
        # refused there.
        "AlertEncryptedArchive": "yes",
        "MaxScanSize": "2000M",
        "MaxFileSize": "2000M",
        "StreamMaxLength": "2000M",
        # Per scan, in ms; what takes longer is an alert by AlertExceedsMax.
        "MaxScanTime": "300000",
        "MaxRecursion": "17",
        "MaxFiles": "10000",
        # Signatures that freshclam renews are loaded within ten minutes.
        "SelfCheck": "600",
    }
)
"""What every clamd of ours is told of scanning; docker-compose.yml says the same."""
_PLAIN = ScanSettings()
NO_SCANNER = "unscanned: no virus scanner is running, files are taken in without a scan"
REMEDY = (
    "Install ClamAV (clamd) and its signatures (`freshclam`) and start Muniment again, or name a "
    f"running clamd in {SOCKET_VARIABLE}. MUNIMENT_SCAN__REQUIRED=true refuses unscanned files."
)


@dataclass(frozen=True)
class Scanner:
    """Where clamd listens, or None; `spec` when it is ours to run."""

    address: str | None
    spec: ProcessSpec | None = None

    async def answers(self) -> bool:
        """Whether ours answers PING, which it does beside its scans, within ten seconds."""
        if self.address is None:
            return False
        clamd = open_scanner(self.address, _PLAIN, _SCAN_TIMEOUT_SECONDS, _PROBE_SECONDS)
        try:
            return await clamd.ping()
        except ScannerUnavailable:
            return False


async def choose_scanner(home: Home, places: Places, environment: Mapping[str, str]) -> Scanner:
    """The configured clamd, else one that runs and does not fail open, else our own where program and
    signatures are."""
    configured = environment.get(SOCKET_VARIABLE)
    if configured:
        return Scanner(configured)
    for path in SYSTEM_SOCKETS:
        if await answers_ping(str(path)) and await says_what_it_left_out(str(path)):
            return Scanner(str(path))
    program, signatures = clamd_program(), signature_folder()
    own = places.sockets / "clamd.sock"
    if program is None or signatures is None or len(bytes(own)) > LONGEST_SOCKET_PATH_BYTES:
        return Scanner(None)
    return Scanner(str(own), _own_clamd(home, program, signatures, own))


def clamd_program() -> Path | None:
    """clamd on PATH or where distributions put daemons, which ordinary users lack in PATH."""
    folders = (os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin")
    found = shutil.which("clamd", path=os.pathsep.join(folders))
    return Path(found) if found else None


def signature_folder() -> Path | None:
    """A folder with virus signatures, or None: clamd does not start without any."""
    for folder in _SIGNATURE_FOLDERS:
        with contextlib.suppress(OSError):
            if any(path.suffix in _SIGNATURE_SUFFIXES for path in folder.iterdir()):
                return folder
    return None


async def answers_ping(address: str, settings: ScanSettings = _PLAIN) -> bool:
    """Whether a clamd answers PING there; an address is a socket path or `host:port`, with TLS where
    the settings say so."""
    try:
        return await _clamd(address, settings).ping()
    except ScannerUnavailable:
        return False


async def says_what_it_left_out(address: str, settings: ScanSettings = _PLAIN) -> bool:
    """Whether it calls nothing clean that it did not look into, as clamd does by default. Takes as long
    as its scans do, which may be a while where it is busy."""
    try:
        return await failed_setting(_clamd(address, settings)) is None
    except ScannerUnavailable:
        return False


def _clamd(address: str, settings: ScanSettings = _PLAIN) -> Clamd:
    return open_scanner(address, settings, _SCAN_TIMEOUT_SECONDS, _CONNECT_TIMEOUT_SECONDS)


def configuration(own: Path, signatures: Path) -> str:
    """clamd.conf(5) of a scanner that says so whenever it did not look at everything."""
    return "\n".join(
        (
            f"LocalSocket {own}",
            "FixStaleSocket yes",
            "LocalSocketMode 600",
            "Foreground yes",
            f"DatabaseDirectory {signatures}",
            *(f"{name} {value}" for name, value in SCANNING.items()),
            "",
        )
    )


def _own_clamd(home: Home, program: Path, signatures: Path, own: Path) -> ProcessSpec:
    file = home.run / "clamd.conf"
    write_privately(file, configuration(own, signatures))

    async def ready(_process_id: int, _started: float) -> bool:
        return await answers_ping(str(own))

    return ProcessSpec(
        name="clamd",
        command=(str(program), "--config-file", str(file)),
        environment={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
        ready=ready,
        ready_seconds=180.0,
        death_signal=signal.SIGKILL,
    )
