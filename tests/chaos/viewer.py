"""Somebody who watches a job through every outage, reconnecting with the last id that was seen."""

import json
from collections.abc import Iterator
from threading import Event, Thread

import httpx

from tests.stack import Stack

EVENTS_A_CONNECTION = 5
"""The viewer hangs up after so many: resuming is then part of every run, and not only of outages."""


class Viewer:
    """Follows one job on a thread of its own. `ids` are those of the events behind the snapshot,
    `percents` what any of them told, both in the order in which they came."""

    def __init__(self, stack: Stack, job_id: object) -> None:
        self._stack = stack
        self._path = f"/v1/jobs/{job_id}/events"
        self._left = Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self.first_id = 0
        self.ids: list[int] = []
        self.percents: list[float] = []
        self.pages: list[int] = []
        self.ended = Event()
        self.refusals: list[str] = []

    def __enter__(self) -> "Viewer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join(timeout=30)

    def _watch(self) -> None:
        while not self._left.is_set() and not self.ended.is_set():
            try:
                with self._stack.client(timeout_seconds=20) as client:
                    self._follow(client)
            except httpx.TransportError:
                pass
            self._left.wait(0.1)

    def _follow(self, client: httpx.Client) -> None:
        seen = self.ids[-1] if self.ids else self.first_id
        headers = {"Last-Event-ID": str(seen)} if seen else {}
        with client.stream("GET", self._path, headers=headers) as response:
            if response.status_code == 204:
                self.ended.set()
            elif response.status_code == 200:
                for number, (id_, kind, data) in enumerate(_events(response)):
                    self._take(id_, kind, data)
                    if self._left.is_set() or number >= EVENTS_A_CONNECTION:
                        return
            elif response.status_code < 500:
                self.refusals.append(f"{response.status_code} at {seen}")

    def _take(self, id_: int, kind: str, data: dict[str, object]) -> None:
        if isinstance(percent := data.get("percent"), float | int):
            self.percents.append(float(percent))
        if kind == "snapshot":
            self.first_id = id_
            return
        self.ids.append(id_)
        if kind == "page":
            self.pages.append(int(str(data["page"])))
        if kind == "end":
            self.ended.set()


def _events(response: httpx.Response) -> Iterator[tuple[int, str, dict[str, object]]]:
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line and not line.startswith(":"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif not line:
            if "data" in fields:
                yield int(fields["id"]), fields["event"], json.loads(fields["data"])
            fields = {}
