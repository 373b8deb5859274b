"""`muniment holds`: matters under which nothing is changed or erased."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muniment.cli.administration.printing import (
    Columns,
    connected,
    print_listing,
    print_record,
    when,
)
from muniment.cli.options import AsJson, Home, Limit, group_of_commands

if TYPE_CHECKING:
    from muniment.client.resources.legal_holds import LegalHold, NewItem

holds = group_of_commands("Legal holds: matters under which nothing is changed or erased.")

HoldId = Annotated[str, typer.Argument(metavar="HOLD", help="Id of the legal hold.")]

COLUMNS: "Columns[LegalHold]" = {
    "id": lambda each: str(each.id),
    "matter": lambda each: each.matter,
    "state": lambda each: each.state,
    "files": lambda each: str(each.files),
    "custodians": lambda each: str(len(each.custodians)),
    "placed": lambda each: when(each.created_at),
    "holds until": lambda each: when(each.cooling_ends_at),
}


@holds.command("list")
def list_holds(limit: Limit = 50, home: Home = None, as_json: AsJson = False) -> None:
    """List the tenant's legal holds, newest first."""
    with connected(home) as muniment:
        print_listing(muniment.legal_holds.list(limit=limit), COLUMNS, as_json=as_json)


@holds.command("place")
def place_hold(
    matter: Annotated[str, typer.Argument(help="What the matter is called.")],
    files: Annotated[list[str] | None, typer.Option("--file", help="Id of a file.")] = None,
    collections: Annotated[
        list[str] | None, typer.Option("--collection", help="Id of a collection.")
    ] = None,
    labels: Annotated[
        list[str] | None, typer.Option("--label", help="Files that have this label.")
    ] = None,
    custodians: Annotated[
        list[str] | None, typer.Option("--custodian", help="Id of a principal who must know.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Keep files as they are, whoever asks, until the matter is released."""
    items: list[NewItem] = [{"file_id": each} for each in files or ()]
    items += [{"collection_id": each} for each in collections or ()]
    items += [{"query": {"label": each}} for each in labels or ()]
    with connected(home) as muniment:
        placed = muniment.legal_holds.place(matter, items=items, custodians=custodians or ())
        print_record(placed, COLUMNS, as_json=as_json)


@holds.command("confirm")
def confirm_hold(hold_id: HoldId, home: Home = None, as_json: AsJson = False) -> None:
    """Say that a matter is still needed."""
    with connected(home) as muniment:
        print_record(muniment.legal_holds.confirm(hold_id), COLUMNS, as_json=as_json)


@holds.command("release")
def release_hold(hold_id: HoldId, home: Home = None, as_json: AsJson = False) -> None:
    """Release a matter: it goes on holding until its cooling-off has ended."""
    with connected(home) as muniment:
        print_record(muniment.legal_holds.release(hold_id), COLUMNS, as_json=as_json)


@holds.command("export")
def export_hold(
    hold_id: HoldId,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    home: Home = None,
) -> None:
    """Write a matter's events, and its files', as JSON lines for a court."""
    with connected(home) as muniment:
        output.write_bytes(muniment.legal_holds.export(hold_id))
