"""Commands that are other programs of ours: this process becomes them.

The command line imports neither the supervisor nor the API nor a worker; it starts quickly, and
signals and exit codes are theirs without anything between.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit, urlunsplit

from muniment.errors import ConfigurationError

_APPLICATION_ROLE = "muniment_app"


def become(
    module: str, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> NoReturn:
    """Replaces this process by `python -m module`, found where Muniment is installed: a folder of
    the same name in the present directory is not run (`-P`)."""
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, "-P", "-m", module, *arguments]
    os.execve(sys.executable, command, {**os.environ, **(environment or {})})  # noqa: S606 - no shell


def home_environment(home: Path) -> dict[str, str]:
    """The settings with which a process of ours joins the embedded stack of a home: those of the
    stack's own processes. The user's own variables win where they do not name the stack's data.

    Raises ConfigurationError when no stack runs there.
    """
    try:
        endpoints = json.loads((home / "run" / "endpoints.json").read_bytes())
        owner = str(endpoints["database"])
        defaults = {
            "MUNIMENT_API__HOST": "127.0.0.1",
            # Without it files would be taken in unscanned beside a scanner that runs.
            "MUNIMENT_SCAN__SOCKET": endpoints.get("scanner"),
            "MUNIMENT_EMBEDDING__MODEL_DIRECTORY": endpoints.get("models"),
        }
        own = {name: str(value) for name, value in defaults.items() if value}
        return {name: os.environ.get(name, value) for name, value in own.items()} | {
            "MUNIMENT_HOME": str(home),
            "MUNIMENT_DATABASE__URL": _as_role(owner, _APPLICATION_ROLE),
            "MUNIMENT_DATABASE__OWNER_URL": owner,
            "MUNIMENT_TEMPORAL__ADDRESS": str(endpoints["temporal"]),
            "MUNIMENT_TEMPORAL__NAMESPACE": str(endpoints["namespace"]),
            "MUNIMENT_TEMPORAL__UI_URL": str(endpoints["temporal_ui"]),
            # A stack that an older version started names no folders.
            "MUNIMENT_OBJECTS__ROOT": str(endpoints.get("objects") or home / "objects"),
            "MUNIMENT_KEYS__ROOT": str(endpoints.get("keys") or home / "keys"),
            # Without these the inference runtime phones its maker and takes every core.
            "ORT_DISABLE_TELEMETRY": "1",
            "OMP_NUM_THREADS": "1",
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"no stack runs in {home} ({type(error).__name__})",
            remedy="Start it with `muniment up`, or leave --home out and set the environment.",
        ) from error


def _as_role(dsn: str, role: str) -> str:
    """The same database as another role."""
    parts = urlsplit(dsn)
    _, _, address = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{role}@{address}"))
