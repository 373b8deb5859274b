"""`python -m worker.payload_keys show|rotate|retire`: the keys of Temporal's payloads.

`rotate` makes a key that encrypts from now on; all processes see it within seconds. What was encrypted
before goes on being opened by the former keys. `retire` removes those of which Temporal keeps nothing any
more: no run that began while they encrypted, open or within the namespace's retention.
"""

import argparse
import asyncio
import sys
from dataclasses import dataclass
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
from temporalio.service import RPCError

from muniment.errors import MunimentError, OrchestratorUnavailable
from muniment.payload_keys import PayloadKeyFile, load_payload_keys
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
    """`runs`: how many that began before `until` Temporal still keeps; with none the key was removed."""

    key_id: str
    until: datetime
    runs: int | None

    def __str__(self) -> str:
        if self.runs is None:
            return (
                f"{self.key_id}: kept; it may have encrypted until {self.until:%Y-%m-%d %H:%M} UTC"
            )
        if self.runs:
            return (
                f"{self.key_id}: kept; Temporal has {self.runs} runs that began before"
                f" {self.until:%Y-%m-%d %H:%M} UTC, open or within the namespace's retention"
            )
        return f"{self.key_id}: removed"


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
        await self._renew_schedules()
        return key_id

    async def retire(self) -> list[FormerKey]:
        """Removes the former keys that open nothing any more; says of each former key what became of it."""
        used = await self._renew_schedules()
        keys = load_payload_keys(self._path)
        former = [key_id for key_id in keys.keys if key_id != keys.newest]
        # One that a schedule still used, or of which nobody noted when it was replaced.
        self._file.note_use(
            frozenset(used | (set(former) - keys.replaced_at.keys())), datetime.now(UTC)
        )
        replaced_at = load_payload_keys(self._path).replaced_at
        return [await self._retire(key_id, replaced_at[key_id]) for key_id in former]

    async def _retire(self, key_id: str, replaced_at: datetime) -> FormerKey:
        until = replaced_at + SETTLED_AFTER
        if datetime.now(UTC) < until:
            return FormerKey(key_id, until, runs=None)
        try:
            found = await self._client.count_workflows(
                f"StartTime < '{until.isoformat()}'", rpc_timeout=RPC_TIMEOUT
            )
        except RPCError as error:
            raise OrchestratorUnavailable("Temporal does not count its runs.") from error
        if found.count == 0:
            self._file.remove(key_id)
        return FormerKey(key_id, until, found.count)

    async def _renew_schedules(self) -> set[str]:
        """Encrypts what schedules start by the newest key; the ids of the keys that had encrypted it."""
        codec = EncryptionCodec(keys := load_payload_keys(self._path))
        used = set[str]()

        async def renewed(found: ScheduleUpdateInput) -> ScheduleUpdate:
            schedule = found.description.schedule
            if isinstance(schedule.action, ScheduleActionStartWorkflow):
                await _encrypt_anew(schedule.action, codec)
            return ScheduleUpdate(schedule)

        try:
            async for listed in await self._client.list_schedules(rpc_timeout=RPC_TIMEOUT):
                handle = self._client.get_schedule_handle(listed.id)
                action = (await handle.describe(rpc_timeout=RPC_TIMEOUT)).schedule.action
                former = {key_id_of(each) for each in _payloads(action)} - {None, keys.newest}
                if former:
                    await handle.update(renewed, rpc_timeout=RPC_TIMEOUT)
                    used |= {key_id for key_id in former if key_id is not None}
        except RPCError as error:
            raise OrchestratorUnavailable("Temporal did not take a schedule.") from error
        return used


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
    keys = load_payload_keys(path)
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
