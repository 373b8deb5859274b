"""Many files as one archive: whole at its target, or not there."""

import asyncio
import io
import zipfile
from pathlib import Path

import pytest

from muniment.client import ApiProblem, ApiUnreachable, AsyncMuniment, Muniment, StreamBroken
from tests.muniment.client.api_for_tests import KEY, ApiForTests, Fault
from tests.muniment.client.conftest import QUICK

PATH = "/v1/files/archive"


def test_an_archive_is_asked_for_by_ids_and_versions(
    api: ApiForTests, muniment: Muniment, tmp_path: Path
) -> None:
    one = str(api.add_file("a.txt", b"one")["id"])
    two = str(api.add_file("b.txt", b"two")["id"])
    api.fail("POST", PATH, Fault(503), Fault(429))
    target = muniment.files.archive([one, (two, 3)], tmp_path / "out.zip")
    assert api.forms == [{"files": [{"id": one}, {"id": two, "version": 3}]}]
    with zipfile.ZipFile(target) as opened:
        assert [opened.read(name) for name in opened.namelist()] == [b"one", b"two"]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("looks_whole", [False, True])
def test_an_archive_that_breaks_off_leaves_nothing(
    api: ApiForTests, muniment: Muniment, tmp_path: Path, looks_whole: bool
) -> None:
    file_id = str(api.add_file("a.txt", b"one" * 1000)["id"])
    api.cuts[PATH].append(500)
    api.cuts_look_whole = looks_whole
    with pytest.raises(StreamBroken) as broken:
        muniment.files.archive([file_id], tmp_path / "out.zip")
    assert "one by one" in broken.value.remedy
    assert not list(tmp_path.iterdir())


def test_an_archive_within_what_came_does_not_pass_for_the_whole(
    api: ApiForTests, muniment: Muniment, tmp_path: Path
) -> None:
    """As a DOCX is, whose own directory then stands last."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as packed:
        packed.writestr("a", b"a")
        packed.writestr("b", b"b")
    first = str(api.add_file("a.docx", inner.getvalue())["id"])
    second = str(api.add_file("b.txt", b"two" * 1000)["id"])
    api.cuts[PATH].append(len(inner.getvalue()) + 200)
    api.cuts_look_whole = True
    with pytest.raises(StreamBroken):
        muniment.files.archive([first, second], tmp_path / "out.zip")
    assert not list(tmp_path.iterdir())


def test_a_refusal_leaves_what_was_there(
    api: ApiForTests, muniment: Muniment, tmp_path: Path
) -> None:
    target = tmp_path / "out.zip"
    target.write_bytes(b"former")
    api.fail("POST", PATH, Fault(404))
    with pytest.raises(ApiProblem):
        muniment.files.archive(["x"], target)
    assert target.read_bytes() == b"former"


def test_nobody_there_is_said_after_the_retries(tmp_path: Path) -> None:
    with (
        Muniment("http://127.0.0.1:9", KEY, retry=QUICK) as muniment,
        pytest.raises(ApiUnreachable),
    ):
        muniment.files.archive(["x"], tmp_path / "out.zip")


def test_the_asynchronous_client_does_the_same(api: ApiForTests, tmp_path: Path) -> None:
    file_id = str(api.add_file("a.txt", b"one")["id"])

    async def scenario() -> Path:
        async with AsyncMuniment(api.url, KEY, retry=QUICK) as muniment:
            return await muniment.files.archive([file_id], tmp_path / "out.zip")

    assert zipfile.is_zipfile(asyncio.run(scenario()))
