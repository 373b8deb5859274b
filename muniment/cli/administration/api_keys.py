"""`muniment api-keys`: what programs come with."""

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
)
from muniment.cli.options import AsJson, Home, Limit, group_of_commands

if TYPE_CHECKING:
    from muniment.client.resources.api_keys import ApiKey

api_keys = group_of_commands("API keys.")

COLUMNS: "Columns[ApiKey]" = {
    "id": lambda each: str(each.id),
    "name": lambda each: each.name,
    "prefix": lambda each: each.prefix,
    "principal": lambda each: str(each.principal_id),
    "expires": lambda each: when(each.expires_at),
    "last used": lambda each: when(each.last_used_at),
    "revoked": lambda each: when(each.revoked_at),
}


@api_keys.command("list")
def list_api_keys(limit: Limit = 50, home: Home = None, as_json: AsJson = False) -> None:
    """List your keys, an administrator all of the tenant's; newest first."""
    with connected(home) as muniment:
        print_listing(muniment.api_keys.list(limit=limit), COLUMNS, as_json=as_json)


@api_keys.command("create")
def create_api_key(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scopes: Annotated[
        list[str], typer.Option("--scope", help="One that it has; several may be named.")
    ],
    principal: Annotated[
        str | None, typer.Option("--principal", help="Id of whose it is; else yours.")
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="It ends after so many days.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, and print it."""
    with connected(home) as muniment:
        expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
        made = muniment.api_keys.create(name, scopes, expires_at=expires_at, principal_id=principal)
        if as_json:
            print_record(made, COLUMNS, as_json=True)
        else:
            print_secret(made.secret)


@api_keys.command("revoke")
def revoke_api_key(
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="Id of the key.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a key, at once and for good."""
    with connected(home) as muniment:
        print_record(muniment.api_keys.revoke(key_id), COLUMNS, as_json=as_json)
