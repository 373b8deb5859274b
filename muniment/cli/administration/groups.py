"""`muniment groups`: groups, and who belongs to them."""

from typing import TYPE_CHECKING, Annotated

import typer

from muniment.cli.administration import principals
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
    from muniment.client.resources.groups import Group

groups = group_of_commands("Groups, and who belongs to them.")

GroupId = Annotated[str, typer.Argument(metavar="GROUP", help="Id of the group.")]
PrincipalId = Annotated[str, typer.Argument(metavar="PRINCIPAL", help="Id of the principal.")]

COLUMNS: "Columns[Group]" = {
    "id": lambda each: str(each.id),
    "name": lambda each: each.name,
    "created": lambda each: when(each.created_at),
}


@groups.command("list")
def list_groups(
    name: Annotated[str | None, typer.Option(help="Of exactly this name.")] = None,
    limit: Limit = 50,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """List groups, newest first."""
    with connected(home) as muniment:
        print_listing(muniment.groups.list(name=name, limit=limit), COLUMNS, as_json=as_json)


@groups.command("create")
def create_group(
    name: Annotated[str, typer.Argument(help="Its name.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Make a group."""
    with connected(home) as muniment:
        print_record(muniment.groups.create(name), COLUMNS, as_json=as_json)


@groups.command("rename")
def rename_group(
    group_id: GroupId,
    name: Annotated[str, typer.Argument(help="Its new name.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Rename a group."""
    with connected(home) as muniment:
        print_record(muniment.groups.rename(group_id, name), COLUMNS, as_json=as_json)


@groups.command("delete")
def delete_group(group_id: GroupId, home: Home = None, as_json: AsJson = False) -> None:
    """Delete a group, with what was granted to it."""
    with connected(home) as muniment:
        muniment.groups.delete(group_id)
        print_done(f"deleted {group_id}", as_json=as_json)


@groups.command("members")
def list_members(
    group_id: GroupId, limit: Limit = 50, home: Home = None, as_json: AsJson = False
) -> None:
    """List who belongs to a group."""
    with connected(home) as muniment:
        listing = muniment.groups.members(group_id, limit=limit)
        print_listing(listing, principals.COLUMNS, as_json=as_json)


@groups.command("add")
def add_member(
    group_id: GroupId, principal_id: PrincipalId, home: Home = None, as_json: AsJson = False
) -> None:
    """Make a principal a member of a group."""
    with connected(home) as muniment:
        muniment.groups.add_member(group_id, principal_id)
        print_done(f"{principal_id} belongs to {group_id}", as_json=as_json)


@groups.command("remove")
def remove_member(
    group_id: GroupId, principal_id: PrincipalId, home: Home = None, as_json: AsJson = False
) -> None:
    """Take a principal out of a group."""
    with connected(home) as muniment:
        muniment.groups.remove_member(group_id, principal_id)
        print_done(f"{principal_id} belongs to {group_id} no more", as_json=as_json)
