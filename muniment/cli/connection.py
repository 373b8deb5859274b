"""The client that a command talks through."""

from pathlib import Path

from muniment.client.sync_client import Muniment


def connect(home: Path | None) -> Muniment:
    """`--home`, else MUNIMENT_API__URL and MUNIMENT_API__KEY, else the default home."""
    return Muniment(home=home)
