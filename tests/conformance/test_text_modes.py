"""Every column that could hold a document's words says what becomes of it in a collection with
`encrypted_text`: a new one is sealed there, or holds none for a reason."""

from itertools import combinations

from sqlalchemy import ARRAY, JSON, String
from sqlalchemy.types import TypeEngine
from sqlmodel import AutoString, SQLModel

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
    "asked_query.text": "what a person asks, where the tenant has words kept",
    "batch.problem": "problems never quote a document",
    "batch_item.problem": "problems never quote a document",
    "audit_event.payload": "ids, numbers and names of fields",
    "chunk.boxes": "places",
    "collection.metadata": "what a person says of the collection",
    "decision.reason": "what a person says of a document",
    "evaluation_question.answers": "what a person holds to be right; deleted with the set",
    "evaluation_question.judgements": "what a person says of documents, by their names or ids",
    "evaluation_question.question_id": "what a person calls a question",
    "evaluation_question.text": "what a person asks; deleted with the set",
    "evaluation_result.figures": "numbers by the names of figures",
    "evaluation_run.notes": "sentences of ours, which never quote a document",
    "file.labels": "what a person or a policy calls the file",
    "file.name": "what a person, or an archive, calls the file",
    "file.member_path": "what an archive calls the file",
    "file.media_type": "a name of a type that Muniment knows",
    "file_version.name": "what a person calls the file",
    "file_version.media_type": "a name of a type that Muniment knows",
    "file_version.declared_media_type": "what the uploader says",
    "finding.entity": "names of kinds of findings",
    "file.metadata": "what a person says of the file",
    "file.extracted": "two letters of language, and counts (activities/publish/sealing.py)",
    "idempotency_key.response": "answers are kept without quotes (api/annotations/endpoints.py)",
    "index_version.evaluation": "shares and a count",
    "integrity_run.away_tiers": "names of tiers",
    "job.stages": "states, counts and times",
    "job.settings": "names and numbers",
    "job.error": "problems never quote a document",
    "job_event.payload": "states, counts and times; problems never quote a document",
    "legal_hold.matter": "what a person calls a matter",
    "legal_hold_item.terms": "what a person looks for: names, labels and metadata",
    "page.problem": "problems never quote a document",
    "posting.term": "no rows",
    "posting_removal.terms": "no rows",
    "unmerged_posting.terms": "no rows",
    "question_list.reason": "sentences of ours, which never quote a document",
    "reading_comparison.present_readers": "names of engines",
    "reading_comparison.candidate_readers": "names of engines",
    "reading_comparison.structure": "counts",
    "share_link.networks": "addresses",
    "stage_output.summary": "counts, languages and names of engines",
    "stage_result.summary": "counts, languages and names of engines",
    "stream_ticket.scopes": "names of scopes",
    "synonym.also": "what an administrator says",
    "synonym.keys": "of what an administrator says",
    "synonym.words": "what an administrator says",
    "upload.metadata": "what a person says of the file",
    "upload.concatenation": "ids",
    "webhook.events": "names of events",
    "webhook_event.data": "ids and states",
}


NAMES = {
    "access_grant.level",
    "activity.kind",
    "analytics_policy.keeps",
    "annotation.colour",
    "annotation_anchor.state",
    "api_key.name",
    "api_key.prefix",
    "asked_query.kind",
    "audit_event.action",
    "audit_event.actor_kind",
    "audit_checkpoint.note",
    "audit_checkpoint.verifier_key",
    "audit_event.object_type",
    "audit_event.origin",
    "audit_event.request_id",
    "audit_event.workflow_id",
    "batch.listed_to",
    "batch.prefix",
    "batch.request_id",
    "batch.run_id",
    "batch.source",
    "batch.state",
    "batch.workflow_id",
    "batch_item.object_key",
    "bearer_token.kind",
    "blob.kind",
    "blob.tier",
    "blob_reference.role",
    "cached_response.kind",
    "collection.language_models",
    "collection.name",
    "collection.text_mode",
    "collection.visibility",
    "conversation_message.role",
    "conversation_message.state",
    "compared_page.candidate",
    "decision.verdict",
    "erasure.state",
    "legal_hold_item.kind",
    "evaluation_metric.name",
    "evaluation_run.state",
    "evaluation_run.workflow_id",
    "evaluation_set.answers",
    "evaluation_set.collection",
    "evaluation_set.identified_by",
    "evaluation_set.mode",
    "evaluation_set.name",
    "external_identity.issuer",
    "external_identity.subject",
    "feedback.verdict",
    "file.state",
    "file.trashed_from",
    "file_version.scan_database",
    "file_version.scan_engine",
    "file_version.scan_signature",
    "file_version.scan_state",
    "finding.kind",
    "finding.recogniser",
    "idempotency_key.key",
    "idempotency_key.location",
    "idempotency_key.route",
    "index_version.activation",
    "index_version.model_id",
    "index_version.model_version",
    "index_version.outcome",
    "index_version.state",
    "integrity_fault.kind",
    "integrity_run.state",
    "integrity_run.workflow_id",
    "invitation.name",
    "job.kind",
    "job.request_id",
    "job.run_id",
    "job.stage",
    "job.state",
    "job.trace_parent",
    "job.workflow_id",
    "job_event.event",
    "key_rotation.provider",
    "key_rotation.state",
    "lexical_document.language",
    "model_pause.model",
    "page.engine",
    "page.source",
    "page_layer.engine",
    "page_layer.engine_version",
    "page_layer.source",
    "posting.language",
    "posting_removal.language",
    "unmerged_posting.language",
    "principal.kind",
    "principal.name",
    "question_list.collection",
    "question_list.generate",
    "question_list.state",
    "question_list_item.outcome",
    "principal_group.name",
    "principal_password.password_hash",
    "reading_comparison.candidate",
    "share_link.password_hash",
    "stage_output.fingerprint",
    "stage_output.stage",
    "stage_result.fingerprint",
    "stage_result.stage",
    "tenant.name",
    "tier_move.destination",
    "upload.state",
    "webhook.description",
    "webhook.disabled_reason",
    "webhook.url",
    "webhook_attempt.outcome",
    "webhook_delivery.reason",
    "webhook_delivery.state",
    "webhook_event.type",
    "webhook_secret.public_key",
    "webhook_secret.scheme",
}
"""Names, states, ids and hashes: ours, an engine's, or what people call what is theirs."""


def text_columns() -> set[str]:
    return {
        f"{table.name}.{column.name}"
        for table in SQLModel.metadata.tables.values()
        for column in table.columns
        if holds_text(column.type)
    }


def holds_text(kind: TypeEngine[object]) -> bool:
    if isinstance(kind, ARRAY):
        return holds_text(kind.item_type)
    return isinstance(kind, String | AutoString | JSON)


def test_every_column_for_text_is_sealed_or_says_why_it_holds_no_words() -> None:
    assert text_columns() - SEALED - set(WITHOUT_WORDS) - NAMES == set()


def test_every_name_is_a_column_and_none_is_both() -> None:
    assert text_columns() >= SEALED | set(WITHOUT_WORDS) | NAMES
    for one, other in combinations((SEALED, set(WITHOUT_WORDS), NAMES), 2):
        assert not one & other
