"""Annotations with their comments and anchors; the activity feed says who did what."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

TABLES = ("annotation", "annotation_anchor", "annotation_comment")
FORMER_SCOPES = (
    "{files:read,files:write,files:delete,jobs:read,jobs:write,search,audit:read,metrics:read,"
    "keys:manage,quarantine:decide,payloads:read,webhooks:manage,shares:manage,files:share,"
    "principals:manage,encryption:manage,tenants:manage}"
)


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE annotation (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            file_id UUID NOT NULL,
            version_id UUID NOT NULL,
            reading_id UUID,
            author_id UUID,
            body TEXT NOT NULL,
            tags TEXT[] DEFAULT '{}' NOT NULL,
            colour VARCHAR,
            page INTEGER,
            page_width FLOAT NOT NULL,
            page_height FLOAT NOT NULL,
            page_rotation INTEGER NOT NULL,
            page_digest BYTEA NOT NULL,
            region FLOAT[],
            quote TEXT NOT NULL,
            prefix TEXT NOT NULL,
            suffix TEXT NOT NULL,
            start_offset INTEGER,
            end_offset INTEGER,
            occurrence INTEGER NOT NULL,
            occurrences INTEGER NOT NULL,
            boxes JSONB NOT NULL,
            resolved_at TIMESTAMP WITH TIME ZONE,
            resolved_by UUID,
            revision INTEGER NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(file_id) REFERENCES file (id) ON DELETE CASCADE,
            FOREIGN KEY(version_id) REFERENCES file_version (id) ON DELETE CASCADE,
            FOREIGN KEY(author_id) REFERENCES principal (id) ON DELETE SET NULL,
            FOREIGN KEY(resolved_by) REFERENCES principal (id) ON DELETE SET NULL
        );
        CREATE INDEX ix_annotation_tenant_created
            ON annotation (tenant_id, created_at DESC, id DESC);
        CREATE INDEX ix_annotation_file_id ON annotation (file_id, created_at DESC, id DESC);
        CREATE INDEX ix_annotation_author_id ON annotation (author_id, created_at DESC, id DESC);
        CREATE INDEX ix_annotation_version_id ON annotation (version_id);

        CREATE TABLE annotation_anchor (
            annotation_id UUID NOT NULL,
            version_id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            reading_id UUID,
            method INTEGER NOT NULL,
            state VARCHAR NOT NULL,
            score FLOAT,
            page INTEGER,
            region FLOAT[],
            quote TEXT NOT NULL,
            start_offset INTEGER,
            end_offset INTEGER,
            boxes JSONB NOT NULL,
            found_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (annotation_id, version_id),
            FOREIGN KEY(annotation_id) REFERENCES annotation (id) ON DELETE CASCADE,
            FOREIGN KEY(version_id) REFERENCES file_version (id) ON DELETE CASCADE,
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE INDEX ix_annotation_anchor_tenant_id ON annotation_anchor (tenant_id);
        CREATE INDEX ix_annotation_anchor_version_page ON annotation_anchor (version_id, page);

        CREATE TABLE annotation_comment (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            annotation_id UUID NOT NULL,
            file_id UUID NOT NULL,
            author_id UUID,
            body TEXT NOT NULL,
            revision INTEGER NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(annotation_id) REFERENCES annotation (id) ON DELETE CASCADE,
            FOREIGN KEY(file_id) REFERENCES file (id) ON DELETE CASCADE,
            FOREIGN KEY(author_id) REFERENCES principal (id) ON DELETE SET NULL
        );
        CREATE INDEX ix_annotation_comment_tenant_id ON annotation_comment (tenant_id);
        CREATE INDEX ix_annotation_comment_file_id ON annotation_comment (file_id);
        CREATE INDEX ix_annotation_comment_annotation_id
            ON annotation_comment (annotation_id, created_at DESC, id DESC);
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
    op.execute(
        """
        ALTER TABLE activity ADD COLUMN actor_id UUID REFERENCES principal (id) ON DELETE SET NULL;
        ALTER TABLE activity ADD COLUMN subject_id UUID;
        ALTER TABLE activity ADD COLUMN version_number INTEGER;
        DROP INDEX ix_activity_tenant_id;
        DROP INDEX ix_activity_file_id;
        CREATE INDEX ix_activity_tenant_at ON activity (tenant_id, at DESC, id DESC);
        CREATE INDEX ix_activity_tenant_actor_at ON activity (tenant_id, actor_id, at DESC, id DESC);
        CREATE INDEX ix_activity_file_at ON activity (file_id, at DESC, id DESC);
        """
    )
    # A key that had every scope, as a home's administrator has, goes on having every scope.
    op.execute(
        "UPDATE api_key SET scopes = array_append(api_key.scopes, 'annotations:write')"  # noqa: S608 - constant
        " FROM principal WHERE principal.id = api_key.principal_id AND principal.is_admin"
        f" AND api_key.scopes @> '{FORMER_SCOPES}'::text[]"
        " AND NOT 'annotations:write' = ANY(api_key.scopes)"
    )


def downgrade() -> None:
    op.execute("UPDATE api_key SET scopes = array_remove(scopes, 'annotations:write')")
    op.execute(
        """
        -- Who shared and granted what was for some readers only. The owner may see no row otherwise.
        ALTER TABLE activity NO FORCE ROW LEVEL SECURITY;
        DELETE FROM activity WHERE kind <> 'file.ready';
        ALTER TABLE activity FORCE ROW LEVEL SECURITY;
        DROP INDEX ix_activity_file_at;
        DROP INDEX ix_activity_tenant_actor_at;
        DROP INDEX ix_activity_tenant_at;
        CREATE INDEX ix_activity_file_id ON activity (file_id);
        CREATE INDEX ix_activity_tenant_id ON activity (tenant_id);
        ALTER TABLE activity DROP COLUMN version_number;
        ALTER TABLE activity DROP COLUMN subject_id;
        ALTER TABLE activity DROP COLUMN actor_id;
        """
    )
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")
