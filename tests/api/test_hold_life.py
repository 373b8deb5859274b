"""Files that holds keep, and erasures that wait for them, in any order and with time passing: at each step
the API and the erasure answer as a model of a few lines does. What is held is as it was, and is read."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    multiple,
    rule,
)
from hypothesis.stateful import run_state_machine_as_test as run_machine
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.erasure.activity import Erasure
from activities.erasure.ledger import ErasureLedger
from activities.erasure.stores import STORES
from db.session import Database
from muniment.contracts.erase_file import EraseFileInput, ErasureStep
from muniment.contracts.failures import FILE_HELD
from muniment.settings import KeySettings, ObjectSettings, Settings
from muniment.stores import open_stores
from tests.api.conftest import ApiProcess
from tests.api.hold_model import FINISH, KEYS, PLAN, Model, ModelFile, ModelKeeper
from tests.conftest import end_what_runs, make_tenant

HOLDS = "/v1/legal-holds"
LABELS = ("x", "y")
# ── what is real ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class House:
    """The API, its database, and the activities of an erasure, one at a time."""

    api: ApiProcess
    postgres_dsn: str
    database: Database
    erasure: Erasure
    loop: asyncio.Runner

    def client(self, key: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.api.url, headers=headers, timeout=60, trust_env=False)

    def erase(self, request: EraseFileInput, step: int) -> bool:
        """Whether the step was done; False where something keeps the file."""
        activities, run = self.erasure, ActivityEnvironment().run
        try:
            if step == PLAN:
                self.loop.run(run(activities.plan_erasure, request))
            elif step == KEYS:
                self.loop.run(run(activities.destroy_unreferenced_keys, request))
            elif step == FINISH:
                self.loop.run(run(activities.finish_erasure, request))
            else:
                of_store = ErasureStep(request=request, store=STORES[step - 1].name)
                self.loop.run(run(activities.erase_from_store, of_store))
        except ApplicationError as error:
            if error.type != FILE_HELD:
                raise
            return False
        return True

    def is_held(self, request: EraseFileInput) -> bool:
        run = ActivityEnvironment().run
        return self.loop.run(run(self.erasure.hold_erasure, request)).is_held


@pytest.fixture
def house(
    api: ApiProcess, application_dsn: str, postgres_dsn: str, temporal_address: str
) -> Iterator[House]:
    """No worker: erasures take a step when the machine says so."""
    stores = open_stores(
        Settings(
            objects=ObjectSettings(root=api.home / "objects"),
            keys=KeySettings(root=api.home / "keys"),
        )
    )
    with asyncio.Runner() as loop:
        database = Database(application_dsn)
        erasure = Erasure(database, stores.blobs, ErasureLedger(stores.erasure_ledger))
        yield House(api, postgres_dsn, database, erasure, loop)
        loop.run(database.close())
        loop.run(_end_what_was_started(temporal_address))


async def _end_what_was_started(address: str) -> None:
    await end_what_runs(await Client.connect(address))


# ── the machine ─────────────────────────────────────────────────────────────────────────────────


class HoldLife(RuleBasedStateMachine):
    """One tenant's files and holds, and another tenant who sees and keeps nothing of them."""

    house: ClassVar[House]
    model_class: ClassVar[type[Model]] = Model
    files: Bundle[str] = Bundle("files")
    holds: Bundle[str] = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.model = self.model_class()
        self.tenant = make_tenant(self.house.postgres_dsn)
        self.client = self.house.client(self.tenant.api_key)
        self.stranger = self.house.client(make_tenant(self.house.postgres_dsn).api_key)
        scopes = {"name": "reader", "scopes": ["files:read"]}
        self.reader = self.house.client(
            self.client.post("/v1/api-keys", json=scopes).json()["secret"]
        )
        self.collections = [
            str(self.client.post("/v1/collections", json={"name": name}).json()["id"])
            for name in ("one", "two")
        ]

    # ── files ───────────────────────────────────────────────────────────────────────────────────

    @initialize(target=files, days=st.integers(1, 2), is_released=st.booleans())
    def begin(self, days: int, is_released: bool) -> MultipleResults[str]:
        """With a file in each collection, a member of the first in the other, and a hold of the first
        collection, perhaps in its cooling-off."""
        first, second = (self._upload(each, None) for each in self.collections)
        begun = multiple(first, second, self._upload(self.collections[1], first))
        hold_id = self.hold_collection(0, days)
        if is_released:
            self._release(hold_id)
        return begun

    @rule(target=files, place=st.integers(0, 1))
    def upload(self, place: int) -> str:
        return self._upload(self.collections[place], None)

    @rule(target=files, place=st.integers(0, 1), parent=files)
    def come_out_of(self, place: int, parent: str) -> str:
        is_there = self.model.files[parent].state == "visible"
        return self._upload(self.collections[place], parent if is_there else None)

    def _upload(self, collection: str, parent: str | None) -> str:
        content = f"content {len(self.model.files)}".encode()
        name = f"{len(self.model.files)}.txt"
        where = {"name": name, "collection": collection}
        answer = self.client.post("/v1/files", params=where, content=content)
        assert answer.status_code == 202, answer.text
        file_id = str(answer.json()["id"])
        self.model.files[file_id] = ModelFile(
            name, collection, parent, [content], came_on=self.model.day
        )
        if parent is not None:
            root = self.model.lineage(file_id)[-1]
            self._sql(
                "UPDATE file SET parent_id = %s, root_id = %s WHERE id = %s", parent, root, file_id
            )
        self._as_if_read()
        self._look_at(file_id)
        return file_id

    @rule(
        file_id=files,
        change=st.sampled_from(["name", "labels", "metadata", "collection"]),
        number=st.integers(0, 1),
    )
    def change(self, file_id: str, change: str, number: int) -> None:
        file = self.model.files[file_id]
        body: dict[str, object] = {
            "name": {"name": f"{number}.md"},
            "labels": {"labels": [LABELS[number]]},
            "metadata": {"metadata": {"n": number}},
            "collection": {"collection": self.collections[number]},
        }[change]
        answer = self.client.patch(f"/v1/files/{file_id}", json=body)
        if file.state != "visible" or self.model.keepers(file_id):
            assert answer.status_code == 409, answer.text
        else:
            assert answer.status_code == 200, answer.text
            if change != "metadata":
                setattr(file, change, body[change])
        self._look_at(file_id)

    @rule(file_id=files)
    def add_version(self, file_id: str) -> None:
        file = self.model.files[file_id]
        content = f"{file.name} {len(file.contents)} {file_id}".encode()
        answer = self.client.post(f"/v1/files/{file_id}/versions", content=content)
        if file.state != "visible" or self.model.stops_version(file_id):
            assert answer.status_code == 409, answer.text
        else:
            assert answer.status_code == 202, answer.text
            file.contents.append(content)
        self._as_if_read()
        self._look_at(file_id)

    @rule(file_id=files)
    def reprocess(self, file_id: str) -> None:
        is_free = self.model.files[file_id].state == "visible" and not self.model.keepers(file_id)
        answer = self.client.post(f"/v1/files/{file_id}/reprocess")
        assert answer.status_code == (202 if is_free else 409), answer.text
        self._as_if_read()

    @rule(file_id=files)
    def share(self, file_id: str) -> None:
        """A hold keeps nobody from reading."""
        state = self.model.files[file_id].state
        expected = {"visible": 201, "erasing": 410, "erased": 410}.get(state, 409)
        answer = self.client.post("/v1/shares", json={"file_id": file_id})
        assert answer.status_code == expected, answer.text

    @rule(file_id=files)
    def trash(self, file_id: str) -> None:
        file = self.model.files[file_id]
        answer = self.client.delete(f"/v1/files/{file_id}")
        if file.state in ("erasing", "erased"):
            assert answer.status_code == 410, answer.text
        elif file.state == "restricted" or (
            file.state == "visible" and self.model.any_kept(file_id)
        ):
            assert answer.status_code == 409, answer.text
        else:
            assert answer.status_code == 200, answer.text
            if file.state == "visible":
                self.model.moment += 1
                for each in self._members_in("visible", file_id):
                    each.state, each.trashed_on = "trashed", self.model.moment
        self._look_at(file_id)

    @rule(file_id=files)
    def restore(self, file_id: str) -> None:
        file = self.model.files[file_id]
        answer = self.client.post(f"/v1/files/{file_id}/restore")
        assert answer.status_code == (200 if file.state == "trashed" else 409), answer.text
        if file.state == "trashed":
            for each in self._members_in("trashed", file_id):
                if each.trashed_on == file.trashed_on:
                    each.state = "visible"
        self._look_at(file_id)

    # ── erasures ────────────────────────────────────────────────────────────────────────────────

    @rule(file_id=files)
    def delete_for_good(self, file_id: str) -> None:
        answer = self.client.delete(f"/v1/files/{file_id}?permanent=true")
        self._expect_erasure(answer, file_id, is_refused=self.model.any_kept(file_id))

    @rule(file_id=files)
    def ask_for_erasure(self, file_id: str) -> None:
        answer = self.client.post("/v1/erasures", json={"file_id": file_id})
        self._expect_erasure(answer, file_id, is_refused=False)

    def _expect_erasure(self, answer: httpx.Response, file_id: str, *, is_refused: bool) -> None:
        state = self.model.files[file_id].state
        if state == "erased":
            assert answer.status_code == 410, answer.text
        elif state in ("restricted", "erasing") or is_refused:
            assert answer.status_code == 409, answer.text
        else:
            assert answer.status_code == 202, answer.text
            for each in self.model.with_members(file_id):
                if self.model.files[each].state in ("visible", "trashed"):
                    is_kept = self.model.stops_deletion(each)
                    self.model.files[each].state = "restricted" if is_kept else "erasing"
        self._look_at(file_id)

    @rule(file_id=files, steps=st.integers(1, FINISH + 1))
    def go_on_erasing(self, file_id: str, steps: int) -> None:
        file = self.model.files[file_id]
        if file.state not in ("restricted", "erasing"):
            return
        request = self._ordered(file_id)
        if file.waits:
            file.waits = self.model.stops_deletion(file_id)
            assert self.house.is_held(request) == file.waits
        while steps and not file.waits and file.step <= FINISH:
            steps -= 1
            is_kept = self.model.stops_deletion(file_id) and not file.is_past_return
            assert self.house.erase(request, file.step) == (not is_kept)
            if is_kept:
                assert self.house.is_held(request)
                file.state, file.step, file.waits = "restricted", PLAN, True
            else:
                file.state, file.step = "erasing", file.step + 1
        if file.step > FINISH:
            file.state = "erased"
        self._look_at(file_id)

    def _ordered(self, file_id: str) -> EraseFileInput:
        with psycopg.connect(self.house.postgres_dsn) as connection:
            row = connection.execute(
                "SELECT id FROM job WHERE file_id = %s AND kind = 'erase_file'", (file_id,)
            ).fetchone()
        assert row is not None
        return EraseFileInput(tenant_id=self.tenant.tenant_id, file_id=UUID(file_id), job_id=row[0])

    # ── holds ───────────────────────────────────────────────────────────────────────────────────

    @rule(target=holds, file_id=files, days=st.integers(0, 2))
    def hold_file(self, file_id: str, days: int) -> str:
        """Or a collection, where the file is one that nobody can hold any more."""
        file = self.model.files[file_id]
        if file.is_past_return:
            refused = self._place({"file_id": file_id}, days)
            assert refused.status_code == 422, refused.text
            return self.hold_collection(0, days)
        return self._placed({"file_id": file_id}, days, files={file_id})

    @rule(target=holds, place=st.integers(0, 1), days=st.integers(0, 2))
    def hold_collection(self, place: int, days: int) -> str:
        collection = self.collections[place]
        return self._placed({"collection_id": collection}, days, collection=collection)

    @rule(target=holds, label=st.sampled_from(LABELS), days=st.integers(0, 2))
    def hold_label(self, label: str, days: int) -> str:
        """What has the label now: also what gets another one later, and nothing that gets this one."""
        fitting = {
            file_id
            for file_id, file in self.model.files.items()
            if label in file.labels and file.state != "erased"
        }
        query: dict[str, object] = {"query": {"label": label}}
        others = self.stranger.post(HOLDS, json={"matter": "theirs", "items": [query]})
        assert others.json()["files"] == 0
        return self._placed(query, days, files=fitting)

    def _placed(
        self,
        item: dict[str, object],
        days: int,
        *,
        files: set[str] | None = None,
        collection: str | None = None,
    ) -> str:
        answer = self._place(item, days)
        assert answer.status_code == 201, answer.text
        hold_id = str(answer.json()["id"])
        self.model.holds[hold_id] = ModelKeeper(hold_id, days, files or set(), collection)
        return hold_id

    def _place(self, item: dict[str, object], days: int) -> httpx.Response:
        body = {"matter": "Harbour v. Quay", "items": [item], "cooling_off_days": days}
        return self.client.post(HOLDS, json=body)

    @rule(hold_id=holds, file_id=files)
    def widen(self, hold_id: str, file_id: str) -> None:
        hold, file = self.model.holds[hold_id], self.model.files[file_id]
        body = {"items": [{"file_id": file_id}]}
        answer = self.client.post(f"{HOLDS}/{hold_id}/items", json=body)
        if hold.ends_on is not None:
            assert answer.status_code == 409, answer.text
        elif file.is_past_return:
            assert answer.status_code == 422, answer.text
        else:
            assert answer.status_code == 201, answer.text
            hold.files.add(file_id)
        self._look_at(file_id)

    @rule(hold_id=holds)
    def others_release(self, hold_id: str) -> None:
        assert self.stranger.post(f"{HOLDS}/{hold_id}/release").status_code == 404

    @rule(hold_id=consumes(holds))
    def release(self, hold_id: str) -> None:
        self._release(hold_id)

    def _release(self, hold_id: str) -> None:
        answer = self.client.post(f"{HOLDS}/{hold_id}/release")
        assert answer.status_code == 200, answer.text
        hold = self.model.holds[hold_id]
        hold.ends_on = self.model.day + hold.cooling_off_days
        for file_id in self.model.files:
            self._look_at(file_id)

    @rule(days=st.integers(1, 2))
    def wait(self, days: int) -> None:
        """What is written down of times lies as much further back."""
        self.model.day += days
        self._sql(
            "UPDATE legal_hold SET cooling_ends_at = cooling_ends_at - make_interval(days => %s)"
            " WHERE tenant_id = %s",
            days,
            self.tenant.tenant_id,
        )
        for file_id in self.model.files:
            self._look_at(file_id)

    # ── what everybody sees ─────────────────────────────────────────────────────────────────────

    def _look_at(self, file_id: str) -> None:
        """Whatever was done: the file is what the model says, its keepers too, and it is read by whom it
        is to be read."""
        file, path = self.model.files[file_id], f"/v1/files/{file_id}"
        assert self.stranger.get(path).status_code == 404
        shown = self.client.get(path).json()
        state = {"visible": "ready"}.get(file.state, file.state)
        assert shown["state"] == state
        content = self.client.get(f"{path}/content")
        read = self.reader.get(f"{path}/content")
        if file.state in ("erasing", "erased"):
            assert (content.status_code, read.status_code) == (410, 410)
        elif file.state == "trashed":
            assert (content.status_code, read.status_code) == (409, 409)
        else:
            is_restricted = file.state == "restricted"
            assert (content.status_code, content.content) == (200, file.contents[-1])
            assert read.status_code == (409 if is_restricted else 200)
        if file.is_past_return:
            return
        is_to_go = file.state in ("restricted", "erasing")
        named = ("", []) if is_to_go else (file.name, file.labels)
        assert (shown["name"], shown["labels"]) == named
        assert (shown["collection_id"], shown["version"]) == (file.collection, len(file.contents))
        keepers = self.model.keepers(file_id)
        assert (set(shown["holds"]), shown["held"]) == (keepers, bool(keepers))
        seen = self.reader.get(path).json()
        assert (seen["holds"], seen["held"]) == ([], bool(keepers))

    def teardown(self) -> None:
        for file_id in self.model.files:
            self._look_at(file_id)
        listed = self.client.get("/v1/files", params={"limit": 100}).json()["data"]
        visible = {each for each, file in self.model.files.items() if file.state == "visible"}
        assert {each["id"] for each in listed} == visible
        for client in (self.client, self.stranger, self.reader):
            client.close()

    def _members_in(self, state: str, file_id: str) -> list[ModelFile]:
        found = (self.model.files[each] for each in self.model.with_members(file_id))
        return [each for each in found if each.state == state]

    def _as_if_read(self) -> None:
        """What was uploaded was scanned and published, and no ingestion is at work."""
        tenant_id = self.tenant.tenant_id
        self._sql(
            "UPDATE file_version SET scan_state = 'clean', published_at = now()"
            " WHERE tenant_id = %s AND published_at IS NULL",
            tenant_id,
        )
        self._sql(
            "UPDATE file SET state = 'ready', current_version = (SELECT max(number)"
            " FROM file_version WHERE file_id = file.id)"
            " WHERE tenant_id = %s AND state IN ('received', 'processing', 'ready')",
            tenant_id,
        )
        self._sql(
            "UPDATE job SET state = 'completed', finished_at = now()"
            " WHERE tenant_id = %s AND kind = 'ingest_file' AND finished_at IS NULL",
            tenant_id,
        )

    def _sql(self, statement: str, *values: object) -> None:
        with psycopg.connect(self.house.postgres_dsn) as connection:
            connection.execute(statement, values)


def run_lives(house: House, lives: int, steps: int, machine: type[HoldLife] = HoldLife) -> None:
    machine.house = house
    run_machine(
        machine,
        settings=settings(
            max_examples=lives,
            stateful_step_count=steps,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_what_is_held_is_as_it_was(house: House) -> None:
    run_lives(house, lives=4, steps=15)


@pytest.mark.slow
def test_what_is_held_is_as_it_was_whatever_happens(house: House) -> None:
    run_lives(house, lives=100, steps=50)
