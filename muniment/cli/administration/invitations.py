"""`muniment invitations`: people who may come in."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from muniment.cli.administration.printing import (
    Columns,
    connected,
    print_listing,
    print_record,
    print_secret,
    when,
    yes,
)
from muniment.cli.options import AsJson, Home, Limit, group_of_commands

if TYPE_CHECKING:
    from muniment.client.resources.invitations import Invitation

invitations = group_of_commands("People who may come in by a secret that is good once.")

COLUMNS: "Columns[Invitation]" = {
    "id": lambda each: str(each.id),
    "name": lambda each: each.name,
    "state": lambda each: each.state,
    "admin": lambda each: yes(each.is_admin),
    "expires": lambda each: when(each.expires_at),
    "accepted": lambda each: when(each.accepted_at),
}


@invitations.command("list")
def list_invitations(limit: Limit = 50, home: Home = None, as_json: AsJson = False) -> None:
    """List invitations, newest first."""
    with connected(home) as muniment:
        print_listing(muniment.invitations.list(limit=limit), COLUMNS, as_json=as_json)


@invitations.command("create")
def create_invitation(
    name: Annotated[str, typer.Argument(help="What the person will sign in with.")],
    groups: Annotated[
        list[str] | None, typer.Option("--group", help="Id of a group; several may be named.")
    ] = None,
    admin: Annotated[bool, typer.Option("--admin", help="An administrator.")] = False,
    days: Annotated[
        int | None, typer.Option(min=1, max=30, help="It ends after so many days; else seven.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Invite a person, and print the secret, which you hand over yourself."""
    with connected(home) as muniment:
        # A clock that runs ahead of the API's must not make the longest time too long.
        ahead = timedelta(days=days or 0) - timedelta(minutes=5)
        made = muniment.invitations.create(
            name,
            is_admin=admin,
            groups=groups or (),
            expires_at=None if days is None else datetime.now(UTC) + ahead,
        )
        if as_json:
            print_record(made, COLUMNS, as_json=True)
        else:
            print_secret(made.token)


@invitations.command("revoke")
def revoke_invitation(
    invitation_id: Annotated[str, typer.Argument(metavar="INVITATION", help="Its id.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Revoke an invitation, at once and for good."""
    with connected(home) as muniment:
        revoked = muniment.invitations.revoke(invitation_id)
        print_record(revoked, COLUMNS, as_json=as_json)
