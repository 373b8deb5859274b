"""Invitations: who may become a principal by a secret that is good once. What webhooks have yet to
deliver, and what they gave up, as figures."""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

TENANT_TABLES = ("invitation", "invitation_group")


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE invitation (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            created_by UUID NOT NULL,
            name VARCHAR NOT NULL,
            is_admin BOOLEAN NOT NULL,
            token_hash BYTEA NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
            accepted_at TIMESTAMP WITH TIME ZONE,
            revoked_at TIMESTAMP WITH TIME ZONE,
            principal_id UUID,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(created_by) REFERENCES principal (id) ON DELETE CASCADE,
            FOREIGN KEY(principal_id) REFERENCES principal (id) ON DELETE CASCADE
        );
        CREATE UNIQUE INDEX ux_invitation_token_hash ON invitation (token_hash);
        -- Nobody is invited twice at a time: taking back the one would leave the other.
        CREATE UNIQUE INDEX ux_invitation_open_name ON invitation (tenant_id, name)
            WHERE accepted_at IS NULL AND revoked_at IS NULL;
        CREATE INDEX ix_invitation_tenant_created
            ON invitation (tenant_id, created_at DESC, id DESC);
        CREATE INDEX ix_invitation_over_since
            ON invitation (coalesce(accepted_at, revoked_at, expires_at));
        CREATE INDEX ix_invitation_created_by ON invitation (created_by);
        CREATE INDEX ix_invitation_principal_id ON invitation (principal_id);

        CREATE TABLE invitation_group (
            invitation_id UUID NOT NULL,
            group_id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            PRIMARY KEY (invitation_id, group_id),
            FOREIGN KEY(invitation_id) REFERENCES invitation (id) ON DELETE CASCADE,
            FOREIGN KEY(group_id) REFERENCES principal_group (id) ON DELETE CASCADE,
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE INDEX ix_invitation_group_group_id ON invitation_group (group_id);
        CREATE INDEX ix_invitation_group_tenant_id ON invitation_group (tenant_id);
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
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO muniment_app")
    op.execute("CREATE POLICY definer ON invitation TO CURRENT_USER USING (true)")
    op.execute(_FUNCTIONS)


def downgrade() -> None:
    op.execute(
        """
        DROP FUNCTION webhook_backlog();
        DROP INDEX ix_webhook_delivery_failed;
        DROP INDEX ix_webhook_delivery_pending_since;
        DROP FUNCTION tenants_with_spent_invitations(interval, uuid, integer);
        DROP FUNCTION hold_tenant();
        DROP FUNCTION find_invitation(bytea);
        DROP TABLE invitation_group;
        DROP TABLE invitation;
        """
    )


_FUNCTIONS = """
-- Whoever shows a secret has proved nothing else, so that no tenant is known. An invitation is worth
-- what its maker may give at the moment it is accepted.
CREATE FUNCTION find_invitation(hash bytea)
RETURNS TABLE (tenant_id uuid, invitation_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    SELECT invitation.tenant_id, invitation.id
    FROM invitation
    JOIN principal ON principal.id = invitation.created_by
    WHERE invitation.token_hash = hash
      AND invitation.accepted_at IS NULL AND invitation.revoked_at IS NULL
      AND invitation.expires_at > now()
      AND principal.is_admin AND principal.disabled_at IS NULL
$$;
REVOKE ALL ON FUNCTION find_invitation(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_invitation(bytea) TO muniment_app;

-- Whoever disables the tenant locks it first, and its principals then.
CREATE FUNCTION hold_tenant() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    SELECT FROM tenant WHERE tenant.id = current_tenant() FOR SHARE
$$;
REVOKE ALL ON FUNCTION hold_tenant() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hold_tenant() TO muniment_app;

CREATE FUNCTION tenants_with_spent_invitations(kept interval, after uuid, max_rows integer)
RETURNS TABLE (tenant_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    SELECT DISTINCT invitation.tenant_id
    FROM invitation
    WHERE coalesce(invitation.accepted_at, invitation.revoked_at, invitation.expires_at) < now() - kept
      AND (after IS NULL OR invitation.tenant_id > after)
    ORDER BY invitation.tenant_id
    LIMIT max_rows
$$;
REVOKE ALL ON FUNCTION tenants_with_spent_invitations(interval, uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants_with_spent_invitations(interval, uuid, integer) TO muniment_app;

-- A replay begins anew, however old what it replays is.
CREATE INDEX ix_webhook_delivery_pending_since
    ON webhook_delivery (coalesce(started_at, created_at))
    WHERE state = 'pending';
CREATE INDEX ix_webhook_delivery_failed ON webhook_delivery (webhook_id) WHERE state = 'failed';

-- Of every tenant, figures only. What an endpoint left that was deleted is nobody's any more.
CREATE FUNCTION webhook_backlog()
RETURNS TABLE (pending bigint, oldest_at timestamptz, dead_letters bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    SELECT
        (SELECT count(*) FROM webhook_delivery WHERE webhook_delivery.state = 'pending'),
        least(
            -- Ids are in the order of time, and have an index.
            (SELECT webhook_event.occurred_at FROM webhook_event
             WHERE webhook_event.dispatched_at IS NULL
             ORDER BY webhook_event.id LIMIT 1),
            (SELECT min(coalesce(webhook_delivery.started_at, webhook_delivery.created_at))
             FROM webhook_delivery
             WHERE webhook_delivery.state = 'pending')
        ),
        (SELECT count(*) FROM webhook_delivery
         JOIN webhook ON webhook.id = webhook_delivery.webhook_id
         WHERE webhook_delivery.state = 'failed' AND webhook.deleted_at IS NULL)
$$;
REVOKE ALL ON FUNCTION webhook_backlog() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION webhook_backlog() TO muniment_app;
"""
