"""A whole stack with a cold store: content goes there, is read there, and comes back."""

from pathlib import Path

import pytest

from tests.stack import Stack, running_stack, wait_for

CONTENT = b"The charter of the year 1215 is seldom asked for.\n" * 2_000


@pytest.mark.timeout(900)
def test_a_files_content_goes_to_the_cold_store_and_comes_back(tmp_path: Path) -> None:
    document = tmp_path / "charter.txt"
    document.write_bytes(CONTENT)
    cold, home = tmp_path / "cold", tmp_path / "home"
    with (
        running_stack(
            home,
            MUNIMENT_COLD_STORE__BACKEND="filesystem",
            MUNIMENT_COLD_STORE__ROOT=str(cold),
            MUNIMENT_COLD_STORE__GRACE_HOURS="1",
            MUNIMENT_COLD_STORE__INTERVAL_HOURS="0.001",
        ) as stack,
        stack.client() as client,
    ):
        file = stack.upload(client, document)
        blob_id = _blob_of(stack, file["id"])
        hot = _objects(home / "objects", blob_id)
        assert len(hot) == 1
        sealed = hot[0].read_bytes()
        path = f"/v1/files/{file['id']}"
        for wanted, former, present in (
            ("cold", home / "objects", cold),
            ("hot", cold, home / "objects"),
        ):
            answer = client.post(f"{path}/tier", json={"tier": wanted})
            assert (answer.status_code, answer.json()["moving"]) == (202, 1)
            stack.kill("worker-io")
            wait_for(
                lambda: _let_grace_pass(stack, blob_id),
                timeout_seconds=240,
                what=f"the content to be copied to the {wanted} store",
            )
            wait_for(
                lambda folder=former: not _objects(folder, blob_id),
                timeout_seconds=240,
                what=f"the content to lie in the {wanted} store alone",
            )
            [there] = _objects(present, blob_id)
            assert there.read_bytes() == sealed
            assert client.get(f"{path}/content").content == CONTENT
            assert client.get(f"{path}/tier").json()[wanted] == 1


def _blob_of(stack: Stack, file_id: object) -> str:
    with stack.database() as connection:
        row = connection.execute(
            "SELECT blob_id FROM file_version WHERE file_id = %s", (file_id,)
        ).fetchone()
    assert row is not None
    return str(row[0])


def _let_grace_pass(stack: Stack, blob_id: str) -> bool:
    """Whether the move was switched; an hour ago from here on."""
    with stack.database() as connection:
        changed = connection.execute(
            "UPDATE tier_move SET switched_at = switched_at - interval '1 hour'"
            " WHERE blob_id = %s AND switched_at IS NOT NULL",
            (blob_id,),
        )
    return changed.rowcount == 1


def _objects(folder: Path, blob_id: str) -> list[Path]:
    return list(folder.rglob(blob_id))
