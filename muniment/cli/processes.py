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
    """The settings with which a process of ours joins the embedded stack of a home.

    Raises ConfigurationError when no stack runs there.
    """
    try:
        endpoints = json.loads((home / "run" / "endpoints.json").read_bytes())
        owner = str(endpoints["database"])
        return {
            "MUNIMENT_HOME": str(home),
            "MUNIMENT_DATABASE__URL": _as_role(owner, _APPLICATION_ROLE),
            "MUNIMENT_DATABASE__OWNER_URL": owner,
            "MUNIMENT_TEMPORAL__ADDRESS": str(endpoints["temporal"]),
            "MUNIMENT_TEMPORAL__NAMESPACE": str(endpoints["namespace"]),
            "MUNIMENT_TEMPORAL__UI_URL": str(endpoints["temporal_ui"]),
            "MUNIMENT_OBJECTS__ROOT": str(home / "objects"),
            "MUNIMENT_KEYS__ROOT": str(home / "keys"),
            # Without these the inference runtime phones its maker and takes every core.
            "ORT_DISABLE_TELEMETRY": "1",
            "OMP_NUM_THREADS": "1",
        }
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ConfigurationError(
            f"no stack runs in {home} ({type(error).__name__})",
            remedy="Start it with `muniment up`, or leave --home out and set the environment.",
        ) from error


def _as_role(dsn: str, role: str) -> str:
    """The same database as another role."""
    parts = urlsplit(dsn)
    _, _, address = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{role}@{address}"))
