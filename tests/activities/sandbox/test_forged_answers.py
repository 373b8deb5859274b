"""What a process says that a document took over: no frame of it is believed to be what it should be."""

import pytest

from activities.members.receiver import MemberReceiver
from activities.read.collector import PageCollector
from activities.read.structures import ReportedStructures
from activities.sandbox import Sandbox
from activities.sandbox.failures import LONGEST_CHARACTERS
from activities.sandbox.sandbox import OnProgress
from muniment.contracts.documents import PageStructure
from muniment.errors import DamagedDocument, EngineCrashed
from muniment.objects import SealedBlob
from tests.activities.sandbox.test_sandbox import _engines_importable, call, in_sandbox

assert _engines_importable  # a fixture, for all tests here

SECRET = b"words of the document"
FORGED = (
    b"result no JSON, but " + SECRET,
    b'result {"number": "words of the document"}',
    b'result {"surprise": "words of the document"}',
    b"result " + b"[" * 50_000,
    b'result {"text": "\xff words of the document"}',
    b'result {"text": "\\ud800"}',
    b"result",
    b"failure {}",
    b"failure no JSON",
    b'failure {"problem": "not-found", "detail": "words of the document"}',
    b"surprise {}",
    b"\x00" * 1000,
)


def test_what_is_not_of_its_type_is_a_crash_of_the_engine() -> None:
    async def scenario(sandbox: Sandbox) -> None:
        for forged in FORGED:
            with pytest.raises(EngineCrashed) as raised:
                await sandbox.run(call("forge"), content=forged + b"\n")
            assert raised.value.remedy
            assert SECRET.decode() not in f"{raised.value.detail} {raised.value.__cause__}"
        assert (await sandbox.run(call("count", 3))).number == 3

    in_sandbox(scenario)


async def _keep(ordinal: int, path: str, sealed: SealedBlob) -> None:
    raise AssertionError("something was kept")


async def _seal(pieces: object) -> SealedBlob:
    raise AssertionError("something was sealed")


async def _on_structure(structure: PageStructure) -> None:
    raise AssertionError("something was taken")


@pytest.mark.parametrize(
    "take",
    [
        PageCollector(None).take,
        MemberReceiver(_seal, _keep, known=()).take,
        ReportedStructures(_on_structure).take,
    ],
)
def test_what_is_reported_must_be_of_its_type_too(take: OnProgress) -> None:
    async def scenario(sandbox: Sandbox) -> None:
        for forged in (b'progress {"page": 7, "ordinal": []}\n', b"progress\n"):
            with pytest.raises(EngineCrashed) as raised:
                await sandbox.run(call("forge"), content=forged, on_progress=take)
            assert raised.value.remedy
        assert (await sandbox.run(call("count", 3))).number == 3

    in_sandbox(scenario)


def test_a_failure_says_no_more_than_can_be_kept_and_shown() -> None:
    async def scenario(sandbox: Sandbox) -> None:
        forged = b'failure {"problem": "damaged-document", "detail": "a\\u0000b\\u001b[2J%s"}\n'
        with pytest.raises(DamagedDocument) as raised:
            await sandbox.run(call("forge"), content=forged % (b"x" * 60_000))
        assert raised.value.detail.startswith("a b [2Jx")
        assert len(raised.value.detail) == LONGEST_CHARACTERS

    in_sandbox(scenario)
