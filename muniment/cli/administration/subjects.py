"""`muniment subjects`: what there is of a person is found, confirmed, and handed out or erased."""

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
    from muniment.client.resources.subject_requests import SubjectRequest, SubjectRequestItem

subjects = group_of_commands("Requests of people about what there is of them.")

RequestId = Annotated[str, typer.Argument(metavar="REQUEST", help="Id of the subject request.")]

COLUMNS: "Columns[SubjectRequest]" = {
    "id": lambda each: str(each.id),
    "kind": lambda each: each.kind,
    "state": lambda each: each.state,
    "files": lambda each: ", ".join(f"{count} {state}" for state, count in each.files.items()),
    "opened": lambda each: when(each.created_at),
    "expires": lambda each: when(each.expires_at),
}
ITEM_COLUMNS: "Columns[SubjectRequestItem]" = {
    "file": lambda each: str(each.file_id),
    "name": lambda each: each.name or "",
    "found in": lambda each: ", ".join(each.sources),
    "matches": lambda each: str(each.matches),
    "state": lambda each: each.state,
    "erasure": lambda each: str(each.erasure_id or ""),
}


@subjects.command("find")
def find_subject(
    identifiers: Annotated[
        list[str], typer.Argument(metavar="IDENTIFIER...", help="Names, addresses, numbers.")
    ],
    kind: Annotated[str, typer.Option(help="access or erasure.")] = "access",
    reason: Annotated[str, typer.Option(help="Why, for whoever decides.")] = "",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Find what there is of a person. It waits for a decision."""
    with connected(home) as muniment:
        opened = muniment.subject_requests.open(kind, identifiers, reason=reason)
        print_record(opened, COLUMNS, as_json=as_json)


@subjects.command("list")
def list_requests(limit: Limit = 50, home: Home = None, as_json: AsJson = False) -> None:
    """List the tenant's subject requests, newest first."""
    with connected(home) as muniment:
        print_listing(muniment.subject_requests.list(limit=limit), COLUMNS, as_json=as_json)


@subjects.command("show")
def show_items(
    request_id: RequestId, limit: Limit = 50, home: Home = None, as_json: AsJson = False
) -> None:
    """List the files that name the person, and what became of them."""
    with connected(home) as muniment:
        found = muniment.subject_requests.items(request_id, limit=limit)
        print_listing(found, ITEM_COLUMNS, as_json=as_json)


@subjects.command("decide")
def decide(
    request_id: RequestId,
    approve: Annotated[
        bool, typer.Option("--approve/--reject", help="Confirm what was found, or reject it.")
    ],
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", help="Id of a file that is not the person's.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Confirm what was found but what is excluded, or reject it. An erasure takes another person."""
    with connected(home) as muniment:
        decided = muniment.subject_requests.decide(
            request_id, approve=approve, exclude=exclude or ()
        )
        print_record(decided, COLUMNS, as_json=as_json)


@subjects.command("export")
def export_request(
    request_id: RequestId,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    home: Home = None,
) -> None:
    """Write the copy of what there is of a person, a ZIP archive."""
    with connected(home) as muniment:
        output.write_bytes(muniment.subject_requests.export(request_id))


@subjects.command("statement")
def print_statement(request_id: RequestId, home: Home = None) -> None:
    """Print what became of a request that has ended, as JSON."""
    with connected(home) as muniment:
        typer.echo(muniment.subject_requests.statement(request_id).model_dump_json())
