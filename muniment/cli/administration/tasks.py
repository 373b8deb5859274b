"""`muniment tasks`: what waits for people."""

from typing import TYPE_CHECKING, Annotated

import typer

from muniment.cli.administration.printing import Columns, connected, print_table, when, yes
from muniment.cli.options import AsJson, Home, Limit

if TYPE_CHECKING:
    from muniment.client.resources.tasks import Task

COLUMNS: "Columns[Task]" = {
    "due": lambda each: when(each.due_at),
    "overdue": lambda each: yes(each.overdue),
    "kind": lambda each: each.kind,
    "name": lambda each: each.subject.title or "",
    "reminders": lambda each: str(each.reminders or ""),
    "id": lambda each: each.id,
    "decided at": lambda each: " ".join(action.href for action in each.actions),
}


def list_tasks(
    kind: Annotated[str | None, typer.Option(help="Of this kind alone.")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="What is due already.")] = False,
    mine: Annotated[
        bool, typer.Option("--mine", help="What nobody else can decide in your place.")
    ] = False,
    limit: Limit = 50,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """List what waits for people, what is due first first."""
    with connected(home) as muniment:
        found = muniment.tasks.list(kind=kind, overdue=overdue, mine=mine, limit=limit)
        from muniment.cli.output import print_json, print_more_hint

        if as_json:
            print_json(found)
            return
        print_table(found.data, COLUMNS)
        if found.next_cursor is not None:
            print_more_hint(len(found.data))
