"""Conversations: questions in a row with their answers, what those were made of, and what people think of
them."""

from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

TABLES = (
    "conversation",
    "conversation_message",
    "message_source",
    "answer_event",
    "feedback",
)


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE conversation (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            principal_id UUID NOT NULL,
            key_id UUID NOT NULL,
            sealed_title BYTEA,
            message_count INTEGER NOT NULL,
            size_bytes INTEGER NOT NULL,
            revision INTEGER NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(principal_id) REFERENCES principal (id)
        );
        CREATE INDEX ix_conversation_principal_created
            ON conversation (tenant_id, principal_id, created_at DESC, id DESC);
        CREATE INDEX ix_conversation_principal_id ON conversation (principal_id);
        CREATE INDEX ix_conversation_tenant_updated ON conversation (tenant_id, updated_at);

        CREATE TABLE conversation_message (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            conversation_id UUID NOT NULL,
            parent_id UUID,
            ordinal INTEGER NOT NULL,
            role VARCHAR NOT NULL,
            state VARCHAR NOT NULL,
            sealed BYTEA,
            event_count INTEGER NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            alive_at TIMESTAMP WITH TIME ZONE,
            watched_at TIMESTAMP WITH TIME ZONE,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(conversation_id) REFERENCES conversation (id) ON DELETE CASCADE,
            FOREIGN KEY(parent_id) REFERENCES conversation_message (id) ON DELETE CASCADE
        );
        CREATE UNIQUE INDEX ux_conversation_message_ordinal
            ON conversation_message (conversation_id, ordinal);
        CREATE INDEX ix_conversation_message_parent_id ON conversation_message (parent_id);
        CREATE INDEX ix_conversation_message_tenant_id ON conversation_message (tenant_id);

        CREATE TABLE message_source (
            message_id UUID NOT NULL,
            file_id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            has_words BOOLEAN NOT NULL,
            PRIMARY KEY (message_id, file_id),
            FOREIGN KEY(message_id) REFERENCES conversation_message (id) ON DELETE CASCADE,
            FOREIGN KEY(file_id) REFERENCES file (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE INDEX ix_message_source_file_id ON message_source (file_id);
        CREATE INDEX ix_message_source_tenant_id ON message_source (tenant_id);

        CREATE TABLE answer_event (
            message_id UUID NOT NULL,
            seq INTEGER NOT NULL,
            tenant_id UUID NOT NULL,
            sealed BYTEA NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (message_id, seq),
            FOREIGN KEY(message_id) REFERENCES conversation_message (id) ON DELETE CASCADE,
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE INDEX ix_answer_event_tenant_created ON answer_event (tenant_id, created_at);

        CREATE TABLE feedback (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            message_id UUID NOT NULL,
            principal_id UUID NOT NULL,
            verdict VARCHAR NOT NULL,
            sealed_text BYTEA,
            file_id UUID,
            page INTEGER,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(message_id) REFERENCES conversation_message (id) ON DELETE CASCADE,
            FOREIGN KEY(principal_id) REFERENCES principal (id),
            FOREIGN KEY(file_id) REFERENCES file (id)
        );
        CREATE UNIQUE INDEX ux_feedback_message_id ON feedback (message_id);
        CREATE INDEX ix_feedback_principal_id ON feedback (principal_id);
        CREATE INDEX ix_feedback_file_id ON feedback (file_id);
        CREATE INDEX ix_feedback_tenant_created ON feedback (tenant_id, created_at DESC, id DESC);
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


def downgrade() -> None:
    # The text keys lie outside of PostgreSQL, under blobs of their own: without those rows they are orphans,
    # which the workers' sweep destroys.
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")
    op.execute("ALTER TABLE blob NO FORCE ROW LEVEL SECURITY")
    op.execute("DELETE FROM blob WHERE kind = 'conversation-key'")
    op.execute("ALTER TABLE blob FORCE ROW LEVEL SECURITY")
