"""`muniment grants`: who may read, write or manage what."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from muniment.cli.administration.printing import (
    Columns,
    connected,
    print_done,
    print_listing,
    print_record,
    when,
)
from muniment.cli.options import AsJson, Home, Limit, group_of_commands

if TYPE_CHECKING:
    from muniment.client.resources.grants import Grant

grants = group_of_commands("Who may read, write or manage what.")


class Level(StrEnum):
    READ = "read"
    WRITE = "write"
    MANAGE = "manage"


PrincipalId = Annotated[str | None, typer.Option("--principal", help="Id of a principal.")]
GroupId = Annotated[str | None, typer.Option("--group", help="Id of a group.")]
FileId = Annotated[str | None, typer.Option("--file", help="Id of a file.")]
CollectionId = Annotated[str | None, typer.Option("--collection", help="Id of a collection.")]

COLUMNS: "Columns[Grant]" = {
    "id": lambda each: str(each.id),
    "level": lambda each: each.level,
    "to": lambda each: (
        f"group {each.group_id}" if each.group_id else f"principal {each.principal_id}"
    ),
    "on": lambda each: (
        f"collection {each.collection_id}" if each.collection_id else f"file {each.file_id}"
    ),
    "created": lambda each: when(each.created_at),
}


@grants.command("list")
def list_grants(
    principal: PrincipalId = None,
    group: GroupId = None,
    file: FileId = None,
    collection: CollectionId = None,
    limit: Limit = 50,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """List grants, newest first: those on what you manage, and those to you."""
    with connected(home) as muniment:
        listing = muniment.grants.list(
            principal_id=principal,
            group_id=group,
            file_id=file,
            collection_id=collection,
            limit=limit,
        )
        print_listing(listing, COLUMNS, as_json=as_json)


@grants.command("give")
def give(
    level: Annotated[Level, typer.Argument(help="Each holds the ones before it.")],
    principal: PrincipalId = None,
    group: GroupId = None,
    file: FileId = None,
    collection: CollectionId = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Let a principal or a group read, write or manage a file or a collection."""
    if (principal is None) == (group is None):
        raise typer.BadParameter("name either --principal or --group")
    if (file is None) == (collection is None):
        raise typer.BadParameter("name either --file or --collection")
    with connected(home) as muniment:
        granted = muniment.grants.create(
            level.value,
            principal_id=principal,
            group_id=group,
            file_id=file,
            collection_id=collection,
        )
        print_record(granted, COLUMNS, as_json=as_json)


@grants.command("take")
def take(
    grant_id: Annotated[str, typer.Argument(metavar="GRANT", help="Id of the grant.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Take a grant back."""
    with connected(home) as muniment:
        muniment.grants.delete(grant_id)
        print_done(f"took {grant_id} back", as_json=as_json)
