"""Where the API is and with which key: arguments, else the environment, else an embedded home."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from muniment.client.problems import ApiUnreachable
from muniment.errors import ConfigurationError

URL_VARIABLE = "MUNIMENT_API__URL"
KEY_VARIABLE = "MUNIMENT_API__KEY"
CA_FILE_VARIABLE = "MUNIMENT_API__CA_FILE"
HOME_VARIABLE = "MUNIMENT_HOME"


@dataclass(frozen=True)
class Location:
    """`ca_file`: the authorities that are trusted for an https address, in PEM; None: the public ones."""

    url: str
    key: str = field(repr=False)
    ca_file: Path | None = None


def locate(
    url: str | None = None,
    key: str | None = None,
    home: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    ca_file: Path | None = None,
) -> Location:
    """The first of: `url` and `key`; `home`; MUNIMENT_API__URL and MUNIMENT_API__KEY; the home that
    MUNIMENT_HOME names, else the user's default one. An API that is not of a home is trusted by
    `ca_file`, or MUNIMENT_API__CA_FILE.

    Raises ConfigurationError when half of a pair is missing, or a `ca_file` is named for http,
    ApiUnreachable when no stack runs in the home.
    """
    if url is None and key is None and home is None:
        url, key = environment.get(URL_VARIABLE), environment.get(KEY_VARIABLE)
    if url is not None or key is not None:
        if not url or not key:
            missing = KEY_VARIABLE if url else URL_VARIABLE
            raise ConfigurationError(
                "an API's address and its key belong together", remedy=f"Set {missing} too."
            )
        named = environment.get(CA_FILE_VARIABLE)
        trusted = ca_file or (Path(named) if named else None)
        if trusted is not None and not url.lower().startswith("https:"):
            raise ConfigurationError(
                f"{CA_FILE_VARIABLE} is set, and {URL_VARIABLE} is no https address",
                remedy="Give it one, or take the file away: http would send the key in the clear.",
            )
        return Location(url, key, trusted)
    return of_home(home or default_home(environment))


def of_home(home: Path) -> Location:
    """The embedded stack that runs in a home; raises ApiUnreachable when none does."""
    try:
        endpoints = json.loads((home / "run" / "endpoints.json").read_bytes())
        key = (home / "run" / "admin.key").read_text(encoding="utf-8").strip()
        return Location(str(endpoints["api"]), key)
    except FileNotFoundError:
        raise ApiUnreachable(
            f"no stack runs in {home}",
            remedy="Start it with `muniment up`, or name its home with --home.",
        ) from None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ConfigurationError(
            f"{home / 'run'} cannot be read ({type(error).__name__})",
            remedy="Run as the user who started the stack, or start it anew.",
        ) from error


def default_home(environment: Mapping[str, str] = os.environ) -> Path:
    chosen = environment.get(HOME_VARIABLE)
    if chosen:
        return Path(chosen)
    import platformdirs  # only needed here, and every command pays for what is at the top

    return Path(platformdirs.user_data_dir("muniment"))
