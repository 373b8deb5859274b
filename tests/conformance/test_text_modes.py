"""Every column that could hold a document's words says what becomes of it in a collection with
`encrypted_text`: a new one is sealed there, or holds none for a reason."""

from sqlalchemy import ARRAY, JSON, Text
from sqlmodel import SQLModel

import db.models  # noqa: F401 - registers the tables

SEALED = {
    "chunk.text",
    "chunk.headings",
    "annotation.quote",
    "annotation.prefix",
    "annotation.suffix",
    "annotation_anchor.quote",
}
"""Empty there; the row has it sealed."""

WITHOUT_WORDS = {
    "annotation.body": "what a person says of a document",
    "annotation.tags": "what a person says of a document",
    "annotation.boxes": "places",
    "annotation_anchor.boxes": "places",
    "annotation_comment.body": "what a person says of a document",
    "api_key.scopes": "names of scopes",
    "audit_event.payload": "ids, numbers and names of fields",
    "chunk.boxes": "places",
    "file.labels": "what a person or a policy calls the file",
    "file.metadata": "what a person says of the file",
    "file.extracted": "without title, authors, date and outline (activities/publish/sealing.py)",
    "idempotency_key.response": "answers are kept without quotes (api/annotations/endpoints.py)",
    "integrity_run.away_tiers": "names of tiers",
    "job.stages": "states, counts and times",
    "job.settings": "names and numbers",
    "job.error": "problems never quote a document",
    "job_event.payload": "states, counts and times; problems never quote a document",
    "reading_comparison.present_readers": "names of engines",
    "reading_comparison.candidate_readers": "names of engines",
    "reading_comparison.structure": "counts",
    "share_link.networks": "addresses",
    "stage_output.summary": "counts, languages and names of engines",
    "stage_result.summary": "counts, languages and names of engines",
    "stream_ticket.scopes": "names of scopes",
    "upload.metadata": "what a person says of the file",
    "upload.concatenation": "ids",
    "webhook.events": "names of events",
    "webhook_event.data": "ids and states",
}


def free_text_columns() -> set[str]:
    """Names and states are strings of SQLModel's own; what may be longer is declared as one of these."""
    return {
        f"{table.name}.{column.name}"
        for table in SQLModel.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, Text | JSON)
        or (isinstance(column.type, ARRAY) and isinstance(column.type.item_type, Text))
    }


def test_every_column_for_text_is_sealed_or_says_why_it_holds_no_words() -> None:
    assert free_text_columns() - SEALED - set(WITHOUT_WORDS) == set()


def test_every_name_is_a_column_and_none_is_both() -> None:
    columns = {
        f"{table.name}.{column.name}"
        for table in SQLModel.metadata.tables.values()
        for column in table.columns
    }
    assert columns >= SEALED | set(WITHOUT_WORDS)
    assert not SEALED & set(WITHOUT_WORDS)
