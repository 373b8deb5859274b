"""Language models: which of them a collection lets read it, which are paused, and what a tenant may spend."""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

TENANT_TABLES = ("model_pause", "token_budget", "token_usage", "token_reservation")


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE collection
            ADD COLUMN language_models VARCHAR NOT NULL DEFAULT 'any',
            ADD CONSTRAINT collection_language_models
                CHECK (language_models IN ('any', 'local', 'none'));

        CREATE TABLE model_pause (
            tenant_id UUID NOT NULL,
            model VARCHAR NOT NULL,
            paused_by UUID,
            paused_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (tenant_id, model),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(paused_by) REFERENCES principal (id) ON DELETE SET NULL
        );
        CREATE INDEX ix_model_pause_paused_by ON model_pause (paused_by);

        CREATE TABLE token_budget (
            tenant_id UUID NOT NULL,
            monthly_tokens BIGINT,
            updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (tenant_id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );

        CREATE TABLE token_usage (
            tenant_id UUID NOT NULL,
            month DATE NOT NULL,
            tokens BIGINT NOT NULL,
            PRIMARY KEY (tenant_id, month),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );

        CREATE TABLE token_reservation (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            month DATE NOT NULL,
            tokens BIGINT NOT NULL,
            expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE INDEX ix_token_reservation_tenant_id ON token_reservation (tenant_id);
        """
    )
    for table in TENANT_TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant_isolation ON {table} TO muniment_app"
            " USING (tenant_id = (SELECT current_tenant()))"
            " WITH CHECK (tenant_id = (SELECT current_tenant()))"
        )
        rights = "SELECT" if table == "token_budget" else "SELECT, INSERT, UPDATE, DELETE"
        op.execute(f"GRANT {rights} ON {table} TO muniment_app")
    _keep_sealed_texts_in_the_house()
    op.execute(
        """
        CREATE POLICY definer ON model_pause FOR SELECT TO CURRENT_USER USING (true);
        CREATE POLICY definer ON token_budget TO CURRENT_USER USING (true);
        CREATE POLICY definer ON token_usage FOR SELECT TO CURRENT_USER USING (true);
        CREATE FUNCTION paused_models()
        RETURNS TABLE (model varchar, paused_at timestamptz, by_operator boolean)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            SELECT pause.model, pause.paused_at, tenant.is_operator
            FROM model_pause pause JOIN tenant ON tenant.id = pause.tenant_id
            WHERE tenant.id = (SELECT current_tenant())
                OR (tenant.is_operator AND tenant.disabled_at IS NULL)
        $$;
        REVOKE ALL ON FUNCTION paused_models() FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION paused_models() TO muniment_app;
        """
    )


def _keep_sealed_texts_in_the_house() -> None:
    """Whoever sealed a collection's text has not been asked about models yet. The owner may see no row
    otherwise."""
    op.execute(
        """
        ALTER TABLE collection NO FORCE ROW LEVEL SECURITY;
        UPDATE collection SET language_models = 'none' WHERE text_mode = 'encrypted_text';
        ALTER TABLE collection FORCE ROW LEVEL SECURITY;
        """
    )


def downgrade() -> None:
    # Going up again, such a collection would be open to every model. The owner may see no row otherwise.
    op.execute(
        """
        ALTER TABLE collection NO FORCE ROW LEVEL SECURITY;
        DO $$ BEGIN
            IF EXISTS (
                SELECT 1 FROM collection WHERE text_mode = 'full' AND language_models <> 'any'
            ) THEN
                RAISE EXCEPTION 'there are collections that keep models away'
                    USING HINT = 'Note which, and set their language_models to any: docs/answers.md.';
            END IF;
        END $$;
        ALTER TABLE collection FORCE ROW LEVEL SECURITY;
        """
    )
    op.execute("DROP FUNCTION paused_models()")
    for table in TENANT_TABLES:
        op.execute(f"DROP TABLE {table}")
    op.execute("ALTER TABLE collection DROP COLUMN language_models")
