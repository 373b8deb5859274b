"""`muniment shares`: links by which a file is downloaded without a key."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
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
from muniment.cli.passwords import read_password

if TYPE_CHECKING:
    from muniment.client.resources.shares import Share

shares = group_of_commands("Links by which a file is downloaded without a key.")

COLUMNS: "Columns[Share]" = {
    "id": lambda each: str(each.id),
    "of file": lambda each: str(each.file_id),
    "password": lambda each: yes(each.has_password),
    "downloads": lambda each: (
        f"{each.downloads} of {each.max_downloads}" if each.max_downloads else str(each.downloads)
    ),
    "expires": lambda each: when(each.expires_at),
    "revoked": lambda each: when(each.revoked_at),
}


@shares.command("list")
def list_shares(
    file: Annotated[str | None, typer.Option(help="Only those of this file.")] = None,
    limit: Limit = 50,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """List your links, an administrator all of the tenant's; newest first."""
    with connected(home) as muniment:
        print_listing(muniment.shares.list(file_id=file, limit=limit), COLUMNS, as_json=as_json)


@shares.command("create")
def create_share(
    file_id: Annotated[str, typer.Argument(metavar="FILE", help="Id of the file.")],
    version: Annotated[int | None, typer.Option(min=1, help="Only this version.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="It ends after so many days.")] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="A file whose first line visitors are asked for.")
    ] = None,
    networks: Annotated[
        list[str] | None, typer.Option("--network", help="From where alone, as 192.0.2.0/24.")
    ] = None,
    max_downloads: Annotated[int | None, typer.Option(min=1, help="How often.")] = None,
    watermark: Annotated[
        bool, typer.Option("--watermark", help="Hand out a PDF whose pages say who shared it.")
    ] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Share a file, and print the link."""
    with connected(home) as muniment:
        made = muniment.shares.create(
            file_id,
            version=version,
            expires_at=None if days is None else datetime.now(UTC) + timedelta(days=days),
            password=read_password(password_file),
            networks=networks or (),
            max_downloads=max_downloads,
            watermark=watermark,
        )
        if as_json:
            print_record(made, COLUMNS, as_json=True)
        else:
            print_secret(made.url)


@shares.command("revoke")
def revoke_share(
    share_id: Annotated[str, typer.Argument(metavar="SHARE", help="Id of the link.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a link, at once and for good."""
    with connected(home) as muniment:
        print_record(muniment.shares.revoke(share_id), COLUMNS, as_json=as_json)
