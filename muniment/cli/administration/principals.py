"""`muniment principals`: people and programs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muniment.cli.administration.printing import (
    Columns,
    connected,
    print_done,
    print_listing,
    print_record,
    when,
    yes,
)
from muniment.cli.options import AsJson, Home, Limit, group_of_commands
from muniment.cli.passwords import read_password

if TYPE_CHECKING:
    from muniment.client.resources.principals import Principal

principals = group_of_commands("People and programs of the tenant.")

PrincipalId = Annotated[str, typer.Argument(metavar="PRINCIPAL", help="Id of the principal.")]

COLUMNS: "Columns[Principal]" = {
    "id": lambda each: str(each.id),
    "kind": lambda each: each.kind,
    "name": lambda each: each.name,
    "admin": lambda each: yes(each.is_admin),
    "disabled": lambda each: when(each.disabled_at),
    "created": lambda each: when(each.created_at),
}


@principals.command("list")
def list_principals(
    name: Annotated[str | None, typer.Option(help="Of exactly this name.")] = None,
    limit: Limit = 50,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """List people and programs, newest first."""
    with connected(home) as muniment:
        listing = muniment.principals.list(name=name, limit=limit)
        print_listing(listing, COLUMNS, as_json=as_json)


@principals.command("show")
def show_principal(principal_id: PrincipalId, home: Home = None, as_json: AsJson = False) -> None:
    """Show one."""
    with connected(home) as muniment:
        print_record(muniment.principals.get(principal_id), COLUMNS, as_json=as_json)


@principals.command("create")
def create_principal(
    name: Annotated[str, typer.Argument(help="What it signs in with, or is called.")],
    service: Annotated[bool, typer.Option("--service", help="A program, not a person.")] = False,
    admin: Annotated[bool, typer.Option("--admin", help="An administrator.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Make a person, or a program."""
    with connected(home) as muniment:
        made = muniment.principals.create(
            name, kind="service" if service else "user", is_admin=admin
        )
        print_record(made, COLUMNS, as_json=as_json)


@principals.command("change")
def change_principal(
    principal_id: PrincipalId,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    admin: Annotated[
        bool | None, typer.Option("--admin/--no-admin", help="Whether it administers.")
    ] = None,
    disabled: Annotated[
        bool | None, typer.Option("--disable/--enable", help="Whether it may not come in.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Rename, disable or enable one, or make it an administrator. What is not named stays."""
    if name is None and admin is None and disabled is None:
        raise typer.BadParameter("say what to change")
    with connected(home) as muniment:
        changed = muniment.principals.change(
            principal_id, name=name, is_admin=admin, disabled=disabled
        )
        print_record(changed, COLUMNS, as_json=as_json)


@principals.command("delete")
def delete_principal(
    principal_id: PrincipalId,
    successor: Annotated[
        str | None, typer.Option(help="Id of whom its files, collections and batches go to.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Delete one for good, with its keys, grants and memberships."""
    with connected(home) as muniment:
        muniment.principals.delete(principal_id, successor=successor)
        print_done(f"deleted {principal_id}", as_json=as_json)


@principals.command("password")
def set_password(
    principal_id: PrincipalId,
    password_file: Annotated[
        Path | None,
        typer.Option(help="A file whose first line is the password; else you are asked for it."),
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Set a person's password, which ends what it signed in to."""
    with connected(home) as muniment:
        password = read_password(password_file)
        if password is None:
            password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        muniment.principals.set_password(principal_id, password)
        print_done(f"the password of {principal_id} is set", as_json=as_json)
