"""The virus scan against a real clamd with a database of the test's own."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from activities.scan.activity import _Trial
from activities.scan.answers import verdict_of_answer
from api.health.scanner import ScannerCheck
from deploy.embedded.scanner import answers_ping, says_what_it_left_out
from muniment.contracts.scan import ScanReason, ScanState
from muniment.errors import ScannerUnavailable
from muniment.scanner import Clamd, ScannerVersion, parse_version, trials
from tests.clamd_process import EICAR, clamd

FRESH = ScannerVersion("ClamAV 1.4.3", "27800", datetime.now(UTC))


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 1024 * 1024):
        yield content[start : start + 1024 * 1024]


async def test_clean_content_is_clean_and_the_test_virus_is_found(clamd_socket: str) -> None:
    clamd = Clamd(clamd_socket, 20)
    clean = verdict_of_answer(await clamd.scan(_pieces(b"A harmless letter.")), FRESH)
    assert clean.state is ScanState.CLEAN
    found = verdict_of_answer(await clamd.scan(_pieces(b"before " + EICAR + b" after")), FRESH)
    assert found.state is ScanState.INFECTED
    assert found.signature == "Muniment.Test.Eicar.UNOFFICIAL"


async def test_over_the_stream_limit_the_answer_is_still_read(clamd_socket: str) -> None:
    answer = await Clamd(clamd_socket, 20).scan(_pieces(EICAR + bytes(8 * 1024 * 1024)))
    assert "size limit exceeded" in answer
    verdict = verdict_of_answer(answer, FRESH)
    assert verdict.state is ScanState.UNSCANNABLE
    assert (verdict.reason, verdict.signature) == (ScanReason.TOO_LARGE, "StreamMaxLength")


def zipped(data: bytes, levels: int = 1) -> bytes:
    for _ in range(levels):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("inner", data)
        data = out.getvalue()
    return data


def encrypted(archive: bytes) -> bytes:
    """The archive with its only entry marked as encrypted, in both of its headers."""
    marked = bytearray(archive)
    marked[6] |= 1
    marked[archive.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(marked)


async def test_archives_are_looked_into_and_what_cannot_be_is_not_clean(clamd_socket: str) -> None:
    async def said(content: bytes) -> tuple[ScanState, ScanReason | None, str | None]:
        answer = await Clamd(clamd_socket, 20).scan(_pieces(content))
        verdict = verdict_of_answer(answer, FRESH)
        return verdict.state, verdict.reason, verdict.signature

    assert await said(zipped(EICAR, levels=3)) == (
        ScanState.INFECTED,
        ScanReason.MALWARE,
        "Muniment.Test.Eicar.UNOFFICIAL",
    )
    assert await said(zipped(b"A harmless letter.", levels=3)) == (ScanState.CLEAN, None, None)
    assert await said(encrypted(zipped(b"Who knows?"))) == (
        ScanState.UNSCANNABLE,
        ScanReason.ENCRYPTED,
        "Heuristics.Encrypted.Zip",
    )
    assert await said(zipped(EICAR, levels=30)) == (
        ScanState.UNSCANNABLE,
        ScanReason.LIMIT,
        "Heuristics.Limits.Exceeded.MaxRecursion",
    )


async def test_a_database_without_a_date_is_said_to_have_none(clamd_socket: str) -> None:
    version = await Clamd(clamd_socket, 20).version()
    assert version.engine.startswith("ClamAV ")
    assert version.built_at is None


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        ("stream: OK", ScanState.CLEAN, None),
        ("stream: OK ", ScanState.UNSCANNABLE, ScanReason.SCANNER_ERROR),
        ("", ScanState.UNSCANNABLE, ScanReason.SCANNER_ERROR),
        ("stream: Eicar-Test FOUND", ScanState.INFECTED, ScanReason.MALWARE),
        (
            "stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND",
            ScanState.UNSCANNABLE,
            ScanReason.LIMIT,
        ),
        (
            "stream: Heuristics.Encrypted.Zip FOUND",
            ScanState.UNSCANNABLE,
            ScanReason.ENCRYPTED,
        ),
        (
            "stream: Eicar-Test FOUND\nstream: OK",
            ScanState.UNSCANNABLE,
            ScanReason.SCANNER_ERROR,
        ),
        (
            "INSTREAM size limit exceeded. ERROR",
            ScanState.UNSCANNABLE,
            ScanReason.TOO_LARGE,
        ),
    ],
)
def test_only_the_exact_answer_is_clean(
    answer: str, state: ScanState, reason: ScanReason | None
) -> None:
    verdict = verdict_of_answer(answer, FRESH)
    assert verdict.state is state
    assert verdict.reason is reason


def test_the_version_line_tells_database_and_date() -> None:
    version = parse_version("ClamAV 1.4.3/27800/Tue Jan 20 08:00:00 2026")
    assert version.database == "27800"
    assert version.built_at == datetime(2026, 1, 20, 8, tzinfo=UTC)
    assert parse_version("ClamAV 1.4.3").built_at is None
    with pytest.raises(ScannerUnavailable):
        parse_version("garbage")


async def test_a_scanner_that_is_away_or_silent_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(ScannerUnavailable):
        await Clamd(str(tmp_path / "nothing"), 1).version()
    async with _silent(str(tmp_path / "silent")):
        with pytest.raises(ScannerUnavailable):
            await Clamd(str(tmp_path / "silent"), 0.2).scan(_pieces(b"x"))


async def test_only_a_clamd_answers_ping(clamd_socket: str, tmp_path: Path) -> None:
    assert await answers_ping(clamd_socket)
    assert not await answers_ping(str(tmp_path / "nothing"))
    (tmp_path / "file").touch()
    assert not await answers_ping(str(tmp_path / "file"))
    assert not await answers_ping("127.0.0.1:1")


@asynccontextmanager
async def _silent(path: str) -> AsyncIterator[None]:
    hung_up = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        hung_up.set()

    server = await asyncio.start_unix_server(say_nothing, path)
    async with server:
        yield
        async with asyncio.timeout(30):
            await hung_up.wait()


LAX = {
    "AlertExceedsMax yes": "AlertExceedsMax no",
    "AlertEncryptedArchive yes": "AlertEncryptedArchive no",
}
"""As distributions configure it."""


@pytest.mark.parametrize("setting", trials())
async def test_a_scanner_that_fails_open_is_known_by_its_answers(setting: str) -> None:
    lax = {line: other for line, other in LAX.items() if line.startswith(setting)}
    with clamd(lax) as process:
        process.date(datetime.now(UTC))
        found = await ScannerCheck(Clamd(process.address, 20), timedelta(hours=48)).probe()
        assert found is not None
        assert setting in found.remedy
        assert not await says_what_it_left_out(process.address)


async def test_a_scanner_is_believed_as_soon_as_it_is_mended() -> None:
    trial = _Trial()
    with clamd(LAX) as lax, clamd() as mended:
        assert await trial.failed_setting(Clamd(lax.address, 20)) in trials()
        assert await trial.failed_setting(Clamd(mended.address, 20)) is None


async def test_a_scanner_configured_as_ours_is_believed() -> None:
    with clamd() as process:
        process.date(datetime.now(UTC))
        assert await ScannerCheck(Clamd(process.address, 20), timedelta(hours=48)).probe() is None
        assert await says_what_it_left_out(process.address)


async def test_a_scanner_that_hangs_up_in_the_middle_is_unavailable(tmp_path: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(100_000)
        writer.close()

    server = await asyncio.start_unix_server(hang_up, str(tmp_path / "dying"))
    async with server:
        with pytest.raises(ScannerUnavailable, match="without an answer"):
            await Clamd(str(tmp_path / "dying"), 30).scan(_pieces(bytes(4_000_000)))
