"""`muniment keys`: rotations of the tenant's key."""

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from muniment.cli.connection import connect
from muniment.cli.output import age_text, out, print_json, print_more_hint, state_text, table_of
from muniment.client.resources.key_rotations import KeyRotation


def rotate_keys(home: Path | None, *, as_json: bool) -> None:
    """Asks for one and returns: the second round may be a day away."""
    with connect(home) as muniment:
        rotation = muniment.keys.rotate()
    if as_json:
        print_json(rotation)
        return
    out().print(Text.assemble(str(rotation.id), "  ", state_text(rotation.state)))
    out().print("`muniment keys rotations` shows how far it has come", style="dim")


def list_rotations(limit: int, home: Path | None, *, as_json: bool) -> None:
    with connect(home) as muniment:
        listing = muniment.keys.rotations(limit=limit)
    if as_json:
        print_json(listing)
        return
    if not listing.data:
        out().print("no rotations")
        return
    _print_table(listing.data)
    if listing.next_cursor is not None:
        print_more_hint(len(listing.data))


def _print_table(rotations: Sequence[KeyRotation]) -> None:
    table = table_of(
        "id", "state", "version", "round", "done", "re-wrapped", "unreadable", "created"
    )
    for rotation in rotations:
        table.add_row(
            str(rotation.id),
            state_text(rotation.state),
            _version_text(rotation),
            f"{rotation.round} of 2",
            f"{rotation.percent:.0f}%",
            str(rotation.keys_rewrapped),
            str(rotation.keys_unreadable),
            age_text(rotation.created_at),
        )
    out().print(table)


def _version_text(rotation: KeyRotation) -> str:
    if rotation.to_version is None:
        return ""
    return (
        f"{rotation.provider} {rotation.to_version}"
        if rotation.provider
        else str(rotation.to_version)
    )
