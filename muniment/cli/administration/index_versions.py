"""`muniment index-versions`: search by meaning with another model."""

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
    from muniment.client.resources.index_versions import IndexVersion

index_versions = group_of_commands("Search by meaning with another model, beside the present one.")

IndexVersionId = Annotated[str, typer.Argument(metavar="INDEX-VERSION", help="Its id.")]

COLUMNS: "Columns[IndexVersion]" = {
    "id": lambda each: str(each.id),
    "model": lambda each: each.model,
    "dimensions": lambda each: str(each.dimensions),
    "state": lambda each: _state(each),
    "done": lambda each: f"{each.percent:.0f}%",
    "overlap": lambda each: _share(each.evaluation.overlap if each.evaluation else None),
    "recall": lambda each: _share(each.evaluation.recall if each.evaluation else None),
    "created": lambda each: when(each.created_at),
    "kept until": lambda each: when(each.retire_at),
}


@index_versions.command("list")
def list_index_versions(limit: Limit = 20, home: Home = None, as_json: AsJson = False) -> None:
    """List index versions, newest first, and how far they have come."""
    with connected(home) as muniment:
        print_listing(muniment.index_versions.list(limit=limit), COLUMNS, as_json=as_json)


@index_versions.command("create")
def create_index_version(
    model: Annotated[
        str | None, typer.Option(help="The embedding model; else the release's own.")
    ] = None,
    activate: Annotated[
        bool, typer.Option("--activate", help="Search it as soon as it is ready.")
    ] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Have one built from the passages that are there, while searches go on."""
    with connected(home) as muniment:
        made = muniment.index_versions.create(
            model, activation="automatic" if activate else "manual"
        )
        _print(made, as_json=as_json)


@index_versions.command("activate")
def activate_index_version(
    index_version_id: IndexVersionId, home: Home = None, as_json: AsJson = False
) -> None:
    """Search one that is ready, or the former one, from now on."""
    with connected(home) as muniment:
        _print(muniment.index_versions.activate(index_version_id), as_json=as_json)


@index_versions.command("rollback")
def roll_back_index_version(
    index_version_id: IndexVersionId, home: Home = None, as_json: AsJson = False
) -> None:
    """Go back from the active one to the one before."""
    with connected(home) as muniment:
        _print(muniment.index_versions.roll_back(index_version_id), as_json=as_json)


@index_versions.command("cancel")
def cancel_index_version(
    index_version_id: IndexVersionId, home: Home = None, as_json: AsJson = False
) -> None:
    """Give up one that is being built, or is ready."""
    with connected(home) as muniment:
        _print(muniment.index_versions.cancel(index_version_id), as_json=as_json)


@index_versions.command("pause")
def pause_index_version(
    index_version_id: IndexVersionId, home: Home = None, as_json: AsJson = False
) -> None:
    """Pause the building of one."""
    with connected(home) as muniment:
        _print(muniment.index_versions.pause(index_version_id), as_json=as_json)


@index_versions.command("resume")
def resume_index_version(
    index_version_id: IndexVersionId, home: Home = None, as_json: AsJson = False
) -> None:
    """Let the building of one go on."""
    with connected(home) as muniment:
        _print(muniment.index_versions.resume(index_version_id), as_json=as_json)


def _print(index_version: "IndexVersion", *, as_json: bool) -> None:
    print_record(index_version, COLUMNS, as_json=as_json)


def _state(each: "IndexVersion") -> str:
    if each.paused:
        return "paused"
    return each.outcome or each.state


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.2f}"
