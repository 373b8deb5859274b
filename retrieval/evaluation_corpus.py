"""A set of documents as one published file of a tenant made for it: a passage per document."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from db.bootstrap import bootstrap
from db.models import (
    Blob,
    ChunkRow,
    EmbeddingRow,
    File,
    FileVersion,
    IndexVersion,
    new_id,
)
from db.models.columns import now
from db.queries.access import authenticate
from db.queries.collections import list_collections
from db.queries.postings import DEFAULT_LANGUAGE, index_words
from db.session import Access, Database
from muniment.contracts.jobs import FileState
from muniment.embedding import DIMENSIONS, MODEL_VERSION
from muniment.errors import ConfigurationError
from retrieval.vector import QueryEmbedder

BATCH = 512


@dataclass(frozen=True)
class Document:
    id: str
    title: str
    text: str

    @property
    def indexed(self) -> str:
        return f"{self.title} {self.text}".strip()


@dataclass(frozen=True)
class EvaluationTenant:
    tenant_id: UUID
    collection_id: UUID

    @property
    def access(self) -> Access:
        return Access(self.tenant_id)


async def make_evaluation_tenant(database: Database, owner_url: str) -> EvaluationTenant:
    """A fresh tenant; the DSN is that of the schema's owner."""
    key = bootstrap(owner_url, tenant=f"evaluation-{new_id().hex}", scopes=())
    async with database.across_tenants() as session:
        owner = await authenticate(session, key.hash)
    if owner is None:
        raise ConfigurationError(
            "The two DSNs are not of one database: the new key is unknown to the application role.",
            remedy="Give --owner-url and --application-url of the same database.",
        )
    async with database.transaction(Access(owner.tenant_id, owner.principal_id)) as session:
        collection = (await list_collections(session, limit=1))[0]
    return EvaluationTenant(owner.tenant_id, collection.id)


async def index_documents(
    database: Database,
    tenant: EvaluationTenant,
    documents: Sequence[Document],
    embedder: QueryEmbedder | None,
    language: str = DEFAULT_LANGUAGE,
) -> dict[UUID, str]:
    """Publishes the documents, whose words are stemmed by that text search configuration; the document
    ids by chunk."""
    chunk_ids = {new_id(): document for document in documents}
    index_id = new_id()
    async with database.transaction(tenant.access) as session:
        file_id, version_id, blob_id = new_id(), new_id(), new_id()
        for group in _file_rows(tenant, file_id, version_id, blob_id, index_id, embedder):
            session.add(group)
            await session.flush()
        for ordinal, (chunk_id, document) in enumerate(chunk_ids.items()):
            session.add(_chunk(tenant, file_id, version_id, chunk_id, ordinal, document))
        await session.flush()
        await index_words(session, version_id, language)
    if embedder is not None:
        items = list(chunk_ids.items())
        for start in range(0, len(items), BATCH):
            batch = items[start : start + BATCH]
            vectors = embedder.embed([document.indexed for _, document in batch])
            async with database.transaction(tenant.access) as session:
                session.add_all(
                    EmbeddingRow(
                        chunk_id=chunk_id,
                        index_version_id=index_id,
                        tenant_id=tenant.tenant_id,
                        vector=[float(value) for value in vector],
                    )
                    for (chunk_id, _), vector in zip(batch, vectors, strict=True)
                )
    return {chunk_id: document.id for chunk_id, document in chunk_ids.items()}


def _file_rows(
    tenant: EvaluationTenant,
    file_id: UUID,
    version_id: UUID,
    blob_id: UUID,
    index_id: UUID,
    embedder: QueryEmbedder | None,
) -> Iterator[File | Blob | FileVersion | IndexVersion]:
    """In the order of their references."""
    digest = hashlib.sha256(b"").digest()
    yield File(
        id=file_id,
        tenant_id=tenant.tenant_id,
        collection_id=tenant.collection_id,
        name="corpus.jsonl",
        state=FileState.READY,
        media_type="application/jsonl",
    )
    yield Blob(id=blob_id, tenant_id=tenant.tenant_id, kind="content", size=0, sha256=digest)
    yield FileVersion(
        id=version_id,
        tenant_id=tenant.tenant_id,
        file_id=file_id,
        number=1,
        blob_id=blob_id,
        name="corpus.jsonl",
        size=0,
        sha256=digest,
        declared_media_type="application/jsonl",
        published_at=now(),
    )
    if embedder is not None:
        yield IndexVersion(
            id=index_id,
            tenant_id=tenant.tenant_id,
            model_id=embedder.model_id,
            model_version=MODEL_VERSION,
            dimensions=DIMENSIONS,
            state="active",
            activated_at=now(),
        )


def _chunk(
    tenant: EvaluationTenant,
    file_id: UUID,
    version_id: UUID,
    chunk_id: UUID,
    ordinal: int,
    document: Document,
) -> ChunkRow:
    return ChunkRow(
        id=chunk_id,
        tenant_id=tenant.tenant_id,
        file_id=file_id,
        version_id=version_id,
        ordinal=ordinal,
        text=document.text,
        text_hash=hashlib.sha256(document.text.encode()).digest(),
        token_count=0,
        headings=[document.title] if document.title else [],
        pages=[1],
        boxes=[],
    )
