"""Policies for findings, what they asked for, and what stands for findings that are masked."""

from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

TABLES = ("finding_policy", "finding_judgement")
FORMER_SCOPES = (
    "{files:read,files:write,files:delete,jobs:read,jobs:write,search,audit:read,metrics:read,"
    "keys:manage,quarantine:decide,payloads:read,webhooks:manage,shares:manage,files:share,"
    "principals:manage,encryption:manage,annotations:write,holds:manage,tenants:manage}"
)


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE finding_policy (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            collection_id UUID,
            kind VARCHAR,
            entity VARCHAR,
            minimum_score FLOAT NOT NULL,
            act VARCHAR NOT NULL,
            created_by UUID NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(collection_id) REFERENCES collection (id) ON DELETE CASCADE
        );
        CREATE INDEX ix_finding_policy_tenant_id ON finding_policy (tenant_id);
        CREATE INDEX ix_finding_policy_collection_id ON finding_policy (collection_id);

        CREATE TABLE finding_judgement (
            job_id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            version_id UUID NOT NULL,
            act VARCHAR NOT NULL,
            causes JSONB NOT NULL,
            rules JSONB NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (job_id),
            FOREIGN KEY(job_id) REFERENCES job (id) ON DELETE CASCADE,
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(version_id) REFERENCES file_version (id) ON DELETE CASCADE
        );
        CREATE INDEX ix_finding_judgement_tenant_id ON finding_judgement (tenant_id);
        CREATE INDEX ix_finding_judgement_version_id ON finding_judgement (version_id);

        ALTER TABLE finding
            ADD COLUMN recogniser_version VARCHAR NOT NULL DEFAULT '',
            ADD COLUMN boxes JSONB NOT NULL DEFAULT '[]',
            ADD COLUMN act VARCHAR NOT NULL DEFAULT 'record',
            ADD COLUMN token VARCHAR;
        CREATE INDEX ix_finding_tenant_newest ON finding (tenant_id, id DESC);
        CREATE INDEX ix_finding_token ON finding (tenant_id, token) WHERE token IS NOT NULL;
        DROP INDEX ix_finding_tenant_id;
        ALTER TABLE file_version ADD COLUMN is_masked BOOLEAN NOT NULL DEFAULT false;
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
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO muniment_app")
    # A key that had every scope, as a home's administrator has, goes on having every scope.
    op.execute(
        "UPDATE api_key SET scopes = array_append(api_key.scopes, 'findings:reveal')"  # noqa: S608 - constant
        " FROM principal WHERE principal.id = api_key.principal_id AND principal.is_admin"
        f" AND api_key.scopes @> '{FORMER_SCOPES}'::text[]"
        " AND NOT 'findings:reveal' = ANY(api_key.scopes)"
    )


def downgrade() -> None:
    op.execute("UPDATE api_key SET scopes = array_remove(scopes, 'findings:reveal')")
    op.execute(
        """
        ALTER TABLE file_version NO FORCE ROW LEVEL SECURITY;
        DO $$
        BEGIN
            -- The former release would show the content to everybody who may read the file.
            IF EXISTS (SELECT FROM file_version WHERE is_masked) THEN
                RAISE EXCEPTION 'versions are masked, and would be shown as they are'
                    USING HINT = 'Delete the policies that mask and reprocess those files, or stay.';
            END IF;
        END
        $$;
        ALTER TABLE file_version FORCE ROW LEVEL SECURITY;
        ALTER TABLE file_version DROP COLUMN is_masked;
        CREATE INDEX ix_finding_tenant_id ON finding (tenant_id);
        DROP INDEX ix_finding_token;
        DROP INDEX ix_finding_tenant_newest;
        ALTER TABLE finding
            DROP COLUMN token, DROP COLUMN act, DROP COLUMN boxes, DROP COLUMN recogniser_version;
        DROP TABLE finding_judgement;
        DROP TABLE finding_policy;
        """
    )
