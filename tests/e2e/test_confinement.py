"""An operator sees how the workers' parsers are confined."""

import asyncio

import httpx

from activities.programs import ConfinedPrograms
from muniment.contracts.worker_identity import FULL_SANDBOX, read_sandbox, write_identity
from tests.stack import wait_for


def test_readyz_names_the_tier_of_the_workers(client: httpx.Client) -> None:
    def sandbox() -> dict[str, str] | None:
        dependencies = client.get("/readyz").json()["dependencies"]
        found: dict[str, str] = next(each for each in dependencies if each["name"] == "sandbox")
        return found if found["state"] == "ok" else None

    found = wait_for(sandbox, timeout_seconds=30, what="the workers to poll")
    parsers, _, programs = found["reason"].partition("; external programs: ")
    assert parsers == "landlock, seccomp, limits"
    confined = asyncio.run(ConfinedPrograms().works())
    assert programs == ("in bubblewrap" if confined else "none")


def test_an_identity_says_what_it_was_given() -> None:
    assert read_sandbox(write_identity(1, "host", FULL_SANDBOX)) == FULL_SANDBOX
    assert read_sandbox(write_identity(1, "host", ("limits",))) == ("limits",)
    assert read_sandbox(write_identity(1, "host", ())) == ()
