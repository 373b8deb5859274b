"""Requests of people about what there is of them, what was found, and what was decided."""

from alembic import op

revision = "0058"
down_revision = "0057"
branch_labels = None
depends_on = None

TABLES = ("subject_request", "subject_request_item", "subject_decision")
FORMER_SCOPES = (
    "{files:read,files:write,files:delete,jobs:read,jobs:write,search,audit:read,metrics:read,"
    "keys:manage,quarantine:decide,payloads:read,webhooks:manage,shares:manage,files:share,"
    "principals:manage,encryption:manage,annotations:write,holds:manage,retention:manage,"
    "retention:bypass,findings:reveal,tenants:manage}"
)


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE subject_request (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            kind VARCHAR NOT NULL,
            state VARCHAR NOT NULL,
            requested_by UUID NOT NULL,
            text_key_id UUID,
            subject BYTEA,
            keep_days INTEGER NOT NULL,
            looked_at INTEGER NOT NULL,
            after_at TIMESTAMP WITH TIME ZONE,
            after_id UUID,
            failure VARCHAR,
            export_blob_id UUID,
            export_size BIGINT,
            certificates_sha256 BYTEA,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            started_at TIMESTAMP WITH TIME ZONE,
            finished_at TIMESTAMP WITH TIME ZONE,
            expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(text_key_id) REFERENCES blob (id),
            FOREIGN KEY(export_blob_id) REFERENCES blob (id)
        );
        CREATE INDEX ix_subject_request_tenant_created
            ON subject_request (tenant_id, created_at DESC, id DESC);
        CREATE INDEX ix_subject_request_open ON subject_request (id) WHERE finished_at IS NULL;
        CREATE INDEX ix_subject_request_expires_at ON subject_request (expires_at)
            WHERE text_key_id IS NOT NULL OR export_blob_id IS NOT NULL;
        CREATE INDEX ix_subject_request_text_key_id ON subject_request (text_key_id);
        CREATE INDEX ix_subject_request_export_blob_id ON subject_request (export_blob_id);

        CREATE TABLE subject_request_item (
            request_id UUID NOT NULL,
            file_id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            sources TEXT[] NOT NULL,
            matches INTEGER NOT NULL,
            state VARCHAR NOT NULL,
            erasure_id UUID,
            refused_until TIMESTAMP WITH TIME ZONE,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (request_id, file_id),
            FOREIGN KEY(request_id) REFERENCES subject_request (id),
            FOREIGN KEY(file_id) REFERENCES file (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(erasure_id) REFERENCES erasure (id)
        );
        CREATE INDEX ix_subject_request_item_file_id ON subject_request_item (file_id);
        CREATE INDEX ix_subject_request_item_tenant_id ON subject_request_item (tenant_id);
        CREATE INDEX ix_subject_request_item_erasure_id ON subject_request_item (erasure_id);

        CREATE TABLE subject_decision (
            request_id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            decided_by UUID NOT NULL,
            is_approved BOOLEAN NOT NULL,
            confirmed INTEGER NOT NULL,
            excluded INTEGER NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (request_id),
            FOREIGN KEY(request_id) REFERENCES subject_request (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE INDEX ix_subject_decision_tenant_id ON subject_decision (tenant_id);
        """
    )
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant_isolation ON {table} TO muniment_app"
            " USING (tenant_id = (SELECT current_tenant()))"
            " WITH CHECK (tenant_id = (SELECT current_tenant()))"
        )
    # Never deleted: what was asked for, and what became of it, is evidence.
    op.execute("GRANT SELECT, INSERT, UPDATE ON subject_request TO muniment_app")
    op.execute("GRANT SELECT, INSERT, UPDATE ON subject_request_item TO muniment_app")
    op.execute("GRANT SELECT, INSERT ON subject_decision TO muniment_app")
    op.execute("CREATE POLICY definer ON subject_request TO CURRENT_USER USING (true)")
    op.execute(_ACROSS_TENANTS)
    # A key that had every scope, as a home's administrator has, goes on having every scope.
    op.execute(
        "UPDATE api_key SET scopes = array_append(api_key.scopes, 'subjects:manage')"  # noqa: S608 - constant
        " FROM principal WHERE principal.id = api_key.principal_id AND principal.is_admin"
        f" AND api_key.scopes @> '{FORMER_SCOPES}'::text[]"
        " AND NOT 'subjects:manage' = ANY(api_key.scopes)"
    )


def downgrade() -> None:
    # Keys and exports lie outside of PostgreSQL, under blobs of their own: without those rows they are
    # orphans, which the workers' sweep destroys.
    op.execute("UPDATE api_key SET scopes = array_remove(scopes, 'subjects:manage')")
    op.execute(
        """
        DROP FUNCTION spent_subject_requests(uuid, integer);
        DROP FUNCTION unstarted_subject_requests(interval, integer);
        DROP TABLE subject_decision;
        DROP TABLE subject_request_item;
        DROP TABLE subject_request;
        ALTER TABLE blob_reference NO FORCE ROW LEVEL SECURITY;
        ALTER TABLE blob NO FORCE ROW LEVEL SECURITY;
        DELETE FROM blob_reference WHERE role = 'subject-export';
        DELETE FROM blob WHERE kind = 'subject-request';
        ALTER TABLE blob FORCE ROW LEVEL SECURITY;
        ALTER TABLE blob_reference FORCE ROW LEVEL SECURITY;
        """
    )


# For the workers' rounds: of every tenant, references only.
_ACROSS_TENANTS = """
-- Again after a while: its workflow may be lost; one that is at work is only told to look. What waits for
-- a person or for the end of a hold is told once a day.
CREATE FUNCTION unstarted_subject_requests(min_age interval, max_rows integer)
RETURNS TABLE (tenant_id uuid, request_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    SELECT subject_request.tenant_id, subject_request.id
    FROM subject_request
    WHERE subject_request.finished_at IS NULL
      AND subject_request.created_at < now() - min_age
      AND (subject_request.started_at IS NULL
           OR subject_request.started_at < now() - CASE
               WHEN subject_request.state IN ('waiting', 'erasing') THEN interval '1 day'
               ELSE interval '10 minutes' END)
    ORDER BY coalesce(subject_request.started_at, subject_request.created_at)
    LIMIT max_rows
$$;

CREATE FUNCTION spent_subject_requests(after uuid, max_rows integer)
RETURNS TABLE (tenant_id uuid, request_id uuid, text_key_id uuid, export_blob_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    SELECT subject_request.tenant_id, subject_request.id,
           subject_request.text_key_id, subject_request.export_blob_id
    FROM subject_request
    WHERE subject_request.expires_at < now()
      AND (subject_request.text_key_id IS NOT NULL OR subject_request.export_blob_id IS NOT NULL)
      AND (after IS NULL OR subject_request.id > after)
    ORDER BY subject_request.id
    LIMIT max_rows
$$;

REVOKE ALL ON FUNCTION unstarted_subject_requests(interval, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION spent_subject_requests(uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION unstarted_subject_requests(interval, integer) TO muniment_app;
GRANT EXECUTE ON FUNCTION spent_subject_requests(uuid, integer) TO muniment_app;
"""
