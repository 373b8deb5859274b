"""OpenAI's own client, from a file on the disk to an answer with its citation; and what is left of an
erased file in vector stores."""

from pathlib import Path
from uuid import UUID

import httpx
from openai import DefaultHttpxClient, OpenAI

from tests.e2e.test_erasure import erase
from tests.stack import Stack

TELLING = "The beekeeper of Aalsmeer leased the orchard until the ninth of March 2027."


def test_a_file_is_uploaded_polled_searched_asked_about_and_erased(
    stack: Stack, client: httpx.Client, tmp_path: Path
) -> None:
    path = tmp_path / "orchard.txt"
    path.write_text(TELLING)
    with OpenAI(
        base_url=f"{stack.endpoints['api']}/openai/v1",
        api_key=stack.key,
        http_client=DefaultHttpxClient(trust_env=False),
    ) as package:
        store = package.vector_stores.create(name="orchards")
        held = package.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=path, attributes={"year": 2027}, max_wait_seconds=120
        )
        assert held.status == "completed"
        found = package.vector_stores.search(
            store.id,
            query="who leased the orchard?",
            filters={"type": "gte", "key": "year", "value": 2027},
        )
        assert [(each.file_id, each.filename) for each in found.data] == [(held.id, "orchard.txt")]
        answer = package.chat.completions.create(
            model="muniment",
            messages=[{"role": "user", "content": "Until when is the orchard leased?"}],
            extra_body={"vector_store_ids": [store.id]},
        )
        (cited,) = [each.model_dump() for each in answer.choices[0].message.annotations or ()]
        assert (cited["file_id"], cited["page"], cited["verified"]) == (held.id, 1, True)
        assert cited["quote"] == TELLING
        file_id = UUID(held.id.removeprefix("file-"))
        erase(stack, client, file_id)
        assert package.vector_stores.retrieve(store.id).file_counts.total == 0
        with stack.database() as connection:
            row = connection.execute(
                "SELECT count(*) FROM vector_store_file WHERE file_id = %s", (file_id,)
            ).fetchone()
        assert row == (0,)
        assert package.vector_stores.delete(store.id).deleted
