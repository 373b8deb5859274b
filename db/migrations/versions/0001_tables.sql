-- The tables of the first release. A test compares them with db/models.

CREATE TABLE tenant (
    id UUID NOT NULL,
    name VARCHAR NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (name)
);


CREATE TABLE audit_event (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    x xid8 DEFAULT pg_current_xact_id() NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    actor_id UUID,
    actor_kind VARCHAR NOT NULL,
    action VARCHAR NOT NULL,
    object_type VARCHAR NOT NULL,
    object_id UUID,
    request_id VARCHAR,
    payload JSONB DEFAULT '{}' NOT NULL,
    salt BYTEA NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id)
);

CREATE INDEX ix_audit_event_order ON audit_event (tenant_id, x, id);
CREATE INDEX ix_audit_event_tenant_id ON audit_event (tenant_id);

CREATE TABLE blob (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    kind VARCHAR NOT NULL,
    dedup_tag BYTEA,
    size BIGINT NOT NULL,
    sha256 BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    destroyed_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id)
);

CREATE INDEX ix_blob_tenant_id ON blob (tenant_id);
CREATE UNIQUE INDEX ux_blob_dedup_tag ON blob (tenant_id, dedup_tag) WHERE dedup_tag IS NOT NULL AND destroyed_at IS NULL;

CREATE TABLE index_version (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    model_id VARCHAR NOT NULL,
    model_version VARCHAR NOT NULL,
    dimensions INTEGER NOT NULL,
    state VARCHAR NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    activated_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id)
);

CREATE INDEX ix_index_version_tenant_id ON index_version (tenant_id);

CREATE TABLE principal (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    kind VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    is_admin BOOLEAN NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (tenant_id, name),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id)
);

CREATE INDEX ix_principal_tenant_id ON principal (tenant_id);

CREATE TABLE principal_group (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    name VARCHAR NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (tenant_id, name),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id)
);

CREATE INDEX ix_principal_group_tenant_id ON principal_group (tenant_id);

CREATE TABLE api_key (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    principal_id UUID NOT NULL,
    name VARCHAR NOT NULL,
    prefix VARCHAR NOT NULL,
    key_hash BYTEA NOT NULL,
    scopes TEXT[] NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    last_used_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(principal_id) REFERENCES principal (id) ON DELETE CASCADE,
    UNIQUE (key_hash)
);

CREATE INDEX ix_api_key_tenant_id ON api_key (tenant_id);

CREATE TABLE collection (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    name VARCHAR NOT NULL,
    visibility VARCHAR NOT NULL,
    owner_id UUID,
    revision INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (tenant_id, name),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(owner_id) REFERENCES principal (id)
);

CREATE INDEX ix_collection_tenant_id ON collection (tenant_id);

CREATE TABLE erasure (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    file_id UUID NOT NULL,
    job_id UUID,
    state VARCHAR NOT NULL,
    requested_by UUID,
    keys_destroyed INTEGER NOT NULL,
    blobs_kept INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(requested_by) REFERENCES principal (id)
);

CREATE INDEX ix_erasure_tenant_id ON erasure (tenant_id);

CREATE TABLE group_member (
    tenant_id UUID NOT NULL,
    group_id UUID NOT NULL,
    principal_id UUID NOT NULL,
    PRIMARY KEY (group_id, principal_id),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(group_id) REFERENCES principal_group (id) ON DELETE CASCADE,
    FOREIGN KEY(principal_id) REFERENCES principal (id) ON DELETE CASCADE
);

CREATE INDEX ix_group_member_tenant_id ON group_member (tenant_id);

CREATE TABLE idempotency_key (
    tenant_id UUID NOT NULL,
    principal_id UUID NOT NULL,
    route VARCHAR NOT NULL,
    key VARCHAR NOT NULL,
    request_hash BYTEA,
    lease_token UUID NOT NULL,
    lease_until TIMESTAMP WITH TIME ZONE NOT NULL,
    status INTEGER,
    response JSONB,
    location VARCHAR,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, principal_id, route, key),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(principal_id) REFERENCES principal (id) ON DELETE CASCADE
);

CREATE INDEX ix_idempotency_key_created ON idempotency_key (created_at);

CREATE TABLE stage_result (
    tenant_id UUID NOT NULL,
    fingerprint VARCHAR NOT NULL,
    stage VARCHAR NOT NULL,
    blob_id UUID NOT NULL,
    summary JSONB DEFAULT '{}' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, fingerprint),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(blob_id) REFERENCES blob (id)
);

CREATE INDEX ix_stage_result_blob_id ON stage_result (blob_id);

CREATE TABLE file (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    collection_id UUID NOT NULL,
    owner_id UUID,
    name VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    trashed_from VARCHAR,
    trashed_at TIMESTAMP WITH TIME ZONE,
    current_version INTEGER NOT NULL,
    media_type VARCHAR NOT NULL,
    labels TEXT[] DEFAULT '{}' NOT NULL,
    metadata JSONB DEFAULT '{}' NOT NULL,
    extracted JSONB DEFAULT '{}' NOT NULL,
    page_count INTEGER,
    degraded BOOLEAN NOT NULL,
    revision INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(collection_id) REFERENCES collection (id),
    FOREIGN KEY(owner_id) REFERENCES principal (id)
);

CREATE INDEX ix_file_collection_name ON file (collection_id, name);
CREATE INDEX ix_file_tenant_created ON file (tenant_id, created_at DESC, id DESC);
CREATE INDEX ix_file_tenant_id ON file (tenant_id);

CREATE TABLE stream_ticket (
    ticket_hash BYTEA NOT NULL,
    tenant_id UUID NOT NULL,
    key_id UUID NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (ticket_hash),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(key_id) REFERENCES api_key (id) ON DELETE CASCADE
);

CREATE INDEX ix_stream_ticket_tenant_id ON stream_ticket (tenant_id);

CREATE TABLE access_grant (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    principal_id UUID,
    group_id UUID,
    file_id UUID,
    collection_id UUID,
    level VARCHAR NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(principal_id) REFERENCES principal (id) ON DELETE CASCADE,
    FOREIGN KEY(group_id) REFERENCES principal_group (id) ON DELETE CASCADE,
    FOREIGN KEY(file_id) REFERENCES file (id) ON DELETE CASCADE,
    FOREIGN KEY(collection_id) REFERENCES collection (id) ON DELETE CASCADE
);

CREATE INDEX ix_access_grant_collection_id ON access_grant (collection_id);
CREATE INDEX ix_access_grant_file_id ON access_grant (file_id);
CREATE INDEX ix_access_grant_group_id ON access_grant (group_id);
CREATE INDEX ix_access_grant_principal_id ON access_grant (principal_id);
CREATE INDEX ix_access_grant_tenant_id ON access_grant (tenant_id);

CREATE TABLE file_version (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    file_id UUID NOT NULL,
    number INTEGER NOT NULL,
    blob_id UUID NOT NULL,
    name VARCHAR NOT NULL,
    size BIGINT NOT NULL,
    sha256 BYTEA NOT NULL,
    declared_media_type VARCHAR NOT NULL,
    media_type VARCHAR,
    page_count INTEGER,
    scan_state VARCHAR,
    scan_engine VARCHAR,
    scan_database VARCHAR,
    scan_signature VARCHAR,
    scanned_at TIMESTAMP WITH TIME ZONE,
    document_blob_id UUID,
    published_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (file_id, number),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(file_id) REFERENCES file (id) ON DELETE CASCADE,
    FOREIGN KEY(blob_id) REFERENCES blob (id),
    FOREIGN KEY(document_blob_id) REFERENCES blob (id)
);

CREATE INDEX ix_file_version_blob_id ON file_version (blob_id);
CREATE INDEX ix_file_version_tenant_id ON file_version (tenant_id);

CREATE TABLE blob_reference (
    tenant_id UUID NOT NULL,
    blob_id UUID NOT NULL,
    version_id UUID NOT NULL,
    role VARCHAR NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (blob_id, version_id, role),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(blob_id) REFERENCES blob (id),
    FOREIGN KEY(version_id) REFERENCES file_version (id) ON DELETE CASCADE
);

CREATE INDEX ix_blob_reference_tenant_id ON blob_reference (tenant_id);
CREATE INDEX ix_blob_reference_version_id ON blob_reference (version_id);

CREATE TABLE chunk (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    file_id UUID NOT NULL,
    version_id UUID NOT NULL,
    ordinal INTEGER NOT NULL,
    text TEXT NOT NULL,
    text_hash BYTEA NOT NULL,
    token_count INTEGER NOT NULL,
    term_count INTEGER NOT NULL,
    headings TEXT[] NOT NULL,
    pages INTEGER[] NOT NULL,
    boxes JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(file_id) REFERENCES file (id) ON DELETE CASCADE,
    FOREIGN KEY(version_id) REFERENCES file_version (id) ON DELETE CASCADE
);

CREATE INDEX ix_chunk_file_id ON chunk (file_id);
CREATE INDEX ix_chunk_tenant_id ON chunk (tenant_id);
CREATE INDEX ix_chunk_text_hash ON chunk (tenant_id, text_hash);
CREATE UNIQUE INDEX ix_chunk_version_ordinal ON chunk (version_id, ordinal);

CREATE TABLE finding (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    version_id UUID NOT NULL,
    kind VARCHAR NOT NULL,
    entity VARCHAR NOT NULL,
    page INTEGER NOT NULL,
    start_offset INTEGER NOT NULL,
    end_offset INTEGER NOT NULL,
    score FLOAT NOT NULL,
    recogniser VARCHAR NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(version_id) REFERENCES file_version (id) ON DELETE CASCADE
);

CREATE INDEX ix_finding_tenant_id ON finding (tenant_id);
CREATE INDEX ix_finding_version_id ON finding (version_id);

CREATE TABLE job (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    kind VARCHAR NOT NULL,
    file_id UUID NOT NULL,
    version_id UUID,
    workflow_id VARCHAR NOT NULL,
    run_id VARCHAR,
    state VARCHAR NOT NULL,
    stage VARCHAR,
    stages JSONB DEFAULT '[]' NOT NULL,
    pages_total INTEGER NOT NULL,
    pages_done INTEGER NOT NULL,
    pages_failed INTEGER NOT NULL,
    pages_reused INTEGER NOT NULL,
    percent FLOAT NOT NULL,
    degraded BOOLEAN NOT NULL,
    priority INTEGER NOT NULL,
    retry_of UUID,
    error JSONB,
    requested_by UUID,
    request_id VARCHAR,
    trace_parent VARCHAR,
    event_seq BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(file_id) REFERENCES file (id) ON DELETE CASCADE,
    FOREIGN KEY(version_id) REFERENCES file_version (id) ON DELETE CASCADE,
    UNIQUE (workflow_id),
    FOREIGN KEY(retry_of) REFERENCES job (id) ON DELETE SET NULL,
    FOREIGN KEY(requested_by) REFERENCES principal (id)
);

CREATE INDEX ix_job_file_id ON job (file_id);
CREATE INDEX ix_job_not_started ON job (created_at) WHERE started_at IS NULL AND finished_at IS NULL;
CREATE INDEX ix_job_open ON job (id) WHERE finished_at IS NULL;
CREATE INDEX ix_job_tenant_created ON job (tenant_id, created_at DESC, id DESC);
CREATE INDEX ix_job_tenant_id ON job (tenant_id);
CREATE INDEX ix_job_version_id ON job (version_id);

CREATE TABLE page (
    tenant_id UUID NOT NULL,
    version_id UUID NOT NULL,
    page INTEGER NOT NULL,
    width FLOAT NOT NULL,
    height FLOAT NOT NULL,
    rotation INTEGER NOT NULL,
    source VARCHAR NOT NULL,
    engine VARCHAR NOT NULL,
    confidence FLOAT,
    blob_id UUID,
    position INTEGER NOT NULL,
    problem VARCHAR,
    PRIMARY KEY (version_id, page),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(version_id) REFERENCES file_version (id) ON DELETE CASCADE,
    FOREIGN KEY(blob_id) REFERENCES blob (id)
);

CREATE INDEX ix_page_blob_id ON page (blob_id);
CREATE INDEX ix_page_tenant_id ON page (tenant_id);

CREATE TABLE activity (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    kind VARCHAR NOT NULL,
    file_id UUID,
    job_id UUID,
    PRIMARY KEY (id),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(file_id) REFERENCES file (id) ON DELETE CASCADE,
    FOREIGN KEY(job_id) REFERENCES job (id) ON DELETE CASCADE
);

CREATE INDEX ix_activity_file_id ON activity (file_id);
CREATE INDEX ix_activity_tenant_id ON activity (tenant_id);

CREATE TABLE decision (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    job_id UUID NOT NULL,
    principal_id UUID NOT NULL,
    verdict VARCHAR NOT NULL,
    reason VARCHAR,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(job_id) REFERENCES job (id) ON DELETE CASCADE,
    FOREIGN KEY(principal_id) REFERENCES principal (id)
);

CREATE INDEX ix_decision_job_id ON decision (job_id);
CREATE INDEX ix_decision_tenant_id ON decision (tenant_id);

CREATE TABLE embedding (
    chunk_id UUID NOT NULL,
    index_version_id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    vector HALFVEC(384) NOT NULL,
    PRIMARY KEY (chunk_id, index_version_id),
    FOREIGN KEY(chunk_id) REFERENCES chunk (id) ON DELETE CASCADE,
    FOREIGN KEY(index_version_id) REFERENCES index_version (id),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id)
);

CREATE INDEX ix_embedding_tenant_id ON embedding (tenant_id);

CREATE TABLE job_event (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant_id UUID NOT NULL,
    job_id UUID NOT NULL,
    seq BIGINT NOT NULL,
    x xid8 DEFAULT pg_current_xact_id() NOT NULL,
    event VARCHAR NOT NULL,
    payload JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (job_id, seq),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(job_id) REFERENCES job (id) ON DELETE CASCADE
);

CREATE INDEX ix_job_event_tenant_id ON job_event (tenant_id);
CREATE INDEX ix_job_event_tenant_order ON job_event (tenant_id, x, id);

CREATE TABLE posting (
    tenant_id UUID NOT NULL,
    term VARCHAR NOT NULL,
    chunk_id UUID NOT NULL,
    frequency INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, term, chunk_id),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(chunk_id) REFERENCES chunk (id) ON DELETE CASCADE
);

CREATE INDEX ix_posting_chunk_id ON posting (chunk_id);

CREATE TABLE stage_output (
    tenant_id UUID NOT NULL,
    job_id UUID NOT NULL,
    stage VARCHAR NOT NULL,
    part INTEGER NOT NULL,
    fingerprint VARCHAR NOT NULL,
    blob_id UUID NOT NULL,
    summary JSONB DEFAULT '{}' NOT NULL,
    PRIMARY KEY (job_id, stage, part),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(job_id) REFERENCES job (id) ON DELETE CASCADE,
    FOREIGN KEY(blob_id) REFERENCES blob (id)
);

CREATE INDEX ix_stage_output_blob_id ON stage_output (blob_id);
CREATE INDEX ix_stage_output_tenant_id ON stage_output (tenant_id);
