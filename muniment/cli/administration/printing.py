"""Records as the commands of administrators print them: a table, some facts, or JSON."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from muniment.cli.failures import reported

if TYPE_CHECKING:  # pydantic and httpx are loaded when a command runs
    from rich.text import Text

    from muniment.client.models import Listing, Record
    from muniment.client.sync_client import Muniment

Item = TypeVar("Item", bound="Record")
Columns = Mapping[str, Callable[[Item], str]]
"""By heading. What people wrote is made printable here, and cut where the heading is `name`."""


@contextmanager
def connected(home: Path | None) -> Iterator["Muniment"]:
    """The client of a command; errors end the process with a message."""
    with reported():
        from muniment.cli.connection import connect

        with connect(home) as muniment:
            yield muniment


def print_listing(listing: "Listing[Item]", columns: Columns[Item], *, as_json: bool) -> None:
    """A row a record, and a hint on standard error where there are more."""
    from muniment.cli.output import print_json, print_more_hint

    if as_json:
        print_json(listing)
        return
    print_table(listing.data, columns)
    if listing.next_cursor is not None:
        print_more_hint(len(listing.data))


def print_table(records: Sequence[Item], columns: Columns[Item]) -> None:
    from muniment.cli.output import out, table_of

    if not records:
        out().print("none")
        return
    table = table_of(*columns)
    for record in records:
        table.add_row(*(_cell(heading, of(record)) for heading, of in columns.items()))
    out().print(table)


def print_record(record: Item, columns: Columns[Item], *, as_json: bool) -> None:
    """A line for each that says something."""
    from muniment.cli.output import out, print_facts, print_json, printable

    if as_json:
        print_json(record)
        return
    print_facts(out(), {heading: printable(of(record)) for heading, of in columns.items()})


def print_done(what: str, *, as_json: bool) -> None:
    """Of an act that is answered with nothing; JSON has nothing to say then."""
    from muniment.cli.output import out, printable

    if not as_json:
        out().print(printable(what), markup=False)


def print_secret(secret: str | None) -> None:
    """Alone on standard output, so that it can be piped; what it is goes beside it."""
    from muniment.cli.output import err, out

    if secret is None:
        err().print(
            "the secret was told to an earlier attempt, whose answer was lost: make another"
        )
        return
    err().print("shown this once:", style="dim")
    out().print(secret, markup=False)


def when(moment: datetime | None) -> str:
    """As people of this machine write it."""
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M")


def yes(value: object) -> str:
    return "yes" if value else ""


def _cell(heading: str, text: str) -> "Text":
    from rich.text import Text

    from muniment.cli.output import cut_text, printable, state_text

    if heading == "name":
        return cut_text(text)
    return state_text(printable(text)) if heading == "state" else Text(printable(text))
