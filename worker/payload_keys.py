"""`python -m worker.payload_keys show|rotate|retire`: the keys of Temporal's payloads.

`rotate` makes a key that encrypts from now on; all processes see it within seconds. What was encrypted
before goes on being opened by the former keys. `retire` removes those of which Temporal keeps nothing any
more: no run that began while they encrypted, open or within the namespace's retention.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from temporalio.api.common.v1 import Payload
from temporalio.client import (
    Client,
    ScheduleActionStartWorkflow,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from muniment.errors import MunimentError, OrchestratorUnavailable
from muniment.payload_keys import PayloadKeyFile, read_payload_keys
from muniment.payloads import EncryptionCodec, key_id_of
from muniment.settings import load_settings
from muniment.stores import PAYLOAD_KEY_FILE, open_data_converter
from worker.connecting import connect_temporal

ValueT = TypeVar("ValueT")

RPC_TIMEOUT = timedelta(seconds=30)
SETTLED_AFTER = timedelta(minutes=5)
"""So long after a rotation a process may still encrypt by the former key, clocks that differ included."""
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class FormerKey:
    """`runs`: how many that began before `until` Temporal still keeps; `schedules`: how many hand such a
    run's result to the next one. With neither the key was removed."""

    key_id: str
    until: datetime
    runs: int | None = None
    schedules: int = 0

    @property
    def is_removed(self) -> bool:
        return self.runs == 0 and self.schedules == 0

    def __str__(self) -> str:
        until = f"{self.until:%Y-%m-%d %H:%M} UTC"
        if self.is_removed:
            return f"{self.key_id}: removed"
        if self.runs is None:
            return f"{self.key_id}: kept; it may have encrypted until {until}"
        return (
            f"{self.key_id}: kept; of before {until} Temporal has {self.runs} runs, open or within the"
            f" namespace's retention, and {self.schedules} schedules that have not run since"
        )


@dataclass
class _Schedules:
    """Ids of the keys that had encrypted what they start, and when each of them ran last."""

    used: set[str] = field(default_factory=set)
    last_runs: list[datetime] = field(default_factory=list)


class PayloadKeyRotation:
    """On the key file at `path`, which all processes share."""

    def __init__(self, client: Client, path: Path) -> None:
        self._client = client
        self._path = path
        self._file = PayloadKeyFile(path)

    async def rotate(self) -> str:
        """The id of the new key. Schedules are encrypted anew: what they start is not started by the
        former key for ever."""
        key_id = self._file.rotate(datetime.now(UTC))
        try:
            await self._renew_schedules()
        except OrchestratorUnavailable as error:
            raise OrchestratorUnavailable(
                f"The key {key_id} encrypts from now on. {error.detail}",
                remedy="Do not rotate again: `retire` goes on with the schedules.",
            ) from error
        return key_id

    async def retire(self) -> list[FormerKey]:
        """Removes the former keys that open nothing any more; says of each former key what became of it."""
        schedules = await self._renew_schedules()
        keys = read_payload_keys(self._path)
        former = [key_id for key_id in keys.keys if key_id != keys.newest]
        # One that a schedule still used, or of which nobody noted when it was replaced.
        self._file.note_use(
            frozenset(schedules.used | (set(former) - keys.replaced_at.keys())), datetime.now(UTC)
        )
        keys = read_payload_keys(self._path)  # of which another `retire` may have taken some
        last_runs = schedules.last_runs
        return [
            await self._retire(key_id, keys.replaced_at[key_id], last_runs)
            for key_id in keys.keys
            if key_id != keys.newest
        ]

    async def _retire(
        self, key_id: str, replaced_at: datetime, last_runs: Sequence[datetime]
    ) -> FormerKey:
        until = replaced_at + SETTLED_AFTER
        if datetime.now(UTC) < until:
            return FormerKey(key_id, until)
        try:
            found = await self._client.count_workflows(
                f"StartTime < '{until.isoformat()}'", rpc_timeout=RPC_TIMEOUT
            )
        except RPCError as error:
            raise OrchestratorUnavailable("Temporal does not count its runs.") from error
        former = FormerKey(key_id, until, found.count, sum(run < until for run in last_runs))
        if former.is_removed:
            self._file.remove(key_id)
        return former

    async def _renew_schedules(self) -> _Schedules:
        """Encrypts what schedules start by the newest key."""
        codec = EncryptionCodec(keys := read_payload_keys(self._path))
        schedules = _Schedules()
        try:
            async for listed in await self._client.list_schedules(rpc_timeout=RPC_TIMEOUT):
                await self._renew_schedule(listed.id, codec, keys.newest, schedules)
        except RPCError as error:
            raise OrchestratorUnavailable("Temporal did not take a schedule.") from error
        return schedules

    async def _renew_schedule(
        self, schedule_id: str, codec: EncryptionCodec, newest: str, schedules: _Schedules
    ) -> None:
        async def renewed(found: ScheduleUpdateInput) -> ScheduleUpdate:
            schedule = found.description.schedule
            if isinstance(schedule.action, ScheduleActionStartWorkflow):
                await _encrypt_anew(schedule.action, codec)
            return ScheduleUpdate(schedule)

        handle = self._client.get_schedule_handle(schedule_id)
        try:
            described = await handle.describe(rpc_timeout=RPC_TIMEOUT)
            schedules.last_runs += [run.started_at for run in described.info.recent_actions[-1:]]
            encrypted_by = map(key_id_of, _payloads(described.schedule.action))
            former = {key_id for key_id in encrypted_by if key_id not in (None, newest)}
            if former:
                await handle.update(renewed, rpc_timeout=RPC_TIMEOUT)
                schedules.used |= former
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:  # deleted after it was listed
                raise


def _payloads(action: object) -> list[Payload]:
    """What Temporal keeps encrypted of what a schedule starts."""
    if not isinstance(action, ScheduleActionStartWorkflow):
        return []
    fields = [*action.args, action.static_summary, action.static_details]
    return [each for each in fields if isinstance(each, Payload) and key_id_of(each) is not None]


async def _encrypt_anew(action: ScheduleActionStartWorkflow, codec: EncryptionCodec) -> None:
    async def renewed(value: ValueT) -> ValueT | Payload:
        if not isinstance(value, Payload) or key_id_of(value) is None:
            return value
        return (await codec.encode(await codec.decode([value])))[0]

    # The SDK takes payloads where it gives them.
    action.args = [await renewed(each) for each in action.args]
    action.static_summary = await renewed(action.static_summary)
    action.static_details = await renewed(action.static_details)


async def _run(what: str) -> list[str]:
    settings = load_settings()
    path = settings.keys.root / PAYLOAD_KEY_FILE
    keys = read_payload_keys(path)
    if what == "show":
        former = keys.keys.keys() - {keys.newest}
        by_time = sorted(former, key=lambda key_id: keys.replaced_at.get(key_id, _NEVER))
        return [
            f"{key_id}: encrypts"
            if key_id == keys.newest
            else f"{key_id}: replaced at {keys.replaced_at.get(key_id, 'an unknown time')}"
            for key_id in [*by_time, keys.newest]
        ]
    client = await connect_temporal(settings.temporal, open_data_converter(settings), [])
    rotation = PayloadKeyRotation(client, path)
    if what == "rotate":
        return [f"{await rotation.rotate()}: encrypts from now on; take a backup of the keys"]
    return [str(former) for former in await rotation.retire()] or ["there is no former key"]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="worker.payload_keys", description=__doc__)
    parser.add_argument("what", choices=("show", "rotate", "retire"))
    try:
        lines = asyncio.run(_run(parser.parse_args(arguments).what))
    except MunimentError as error:
        sys.stderr.write(f"{error.title}: {error.detail}\n{error.remedy}\n")
        return 1
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
