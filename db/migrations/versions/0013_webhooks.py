"""Webhooks: endpoints, their secrets, the events that triggers write for them, and the deliveries."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

SCOPE = "webhooks:manage"
TABLES = (
    "webhook",
    "webhook_secret",
    "webhook_event",
    "webhook_delivery",
    "webhook_attempt",
)
LOOKED_ACROSS = ("webhook", "webhook_secret", "webhook_event", "webhook_delivery")


def upgrade() -> None:
    op.execute(_TABLES)
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant_isolation ON {table} TO muniment_app"
            " USING (tenant_id = (SELECT current_tenant()))"
            " WITH CHECK (tenant_id = (SELECT current_tenant()))"
        )
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO muniment_app")
    for table in LOOKED_ACROSS:
        op.execute(f"CREATE POLICY definer ON {table} TO CURRENT_USER USING (true)")
    op.execute(_ACROSS_TENANTS)
    op.execute(_TRIGGERS)
    # The key of an installation's administrator has every scope; it was given those that there were.
    op.execute(
        f"UPDATE api_key SET scopes = scopes || '{{{SCOPE}}}' FROM principal"  # noqa: S608 - a constant
        " WHERE principal.id = api_key.principal_id AND principal.is_admin"
        " AND api_key.name = 'bootstrap' AND api_key.scopes @> '{files:read, files:write,"
        " files:delete, jobs:read, jobs:write, search, audit:read, metrics:read, keys:manage,"
        " quarantine:decide, payloads:read}'"
    )


def downgrade() -> None:
    # The keys of the secrets lie outside of PostgreSQL, under blobs of their own: without those rows
    # they are orphans, which the workers' sweep destroys.
    op.execute(
        """
        DROP TRIGGER webhook_integrity_fault ON integrity_fault;
        DROP TRIGGER webhook_job ON job;
        DROP TRIGGER webhook_file ON file;
        DROP FUNCTION webhook_of_integrity_fault();
        DROP FUNCTION webhook_of_job();
        DROP FUNCTION webhook_of_file();
        DROP FUNCTION emit_webhook_event(uuid, text, uuid, jsonb);
        DROP FUNCTION old_webhook_events(interval, timestamptz, uuid, integer);
        DROP FUNCTION spent_webhook_secrets(uuid, integer);
        DROP FUNCTION open_webhook_deliveries(interval, uuid, integer);
        DROP FUNCTION unstarted_webhook_deliveries(uuid, integer);
        DROP FUNCTION undispatched_webhook_events(uuid, integer);
        DROP TABLE webhook_attempt;
        DROP TABLE webhook_delivery;
        DROP TABLE webhook_event;
        DROP TABLE webhook_secret;
        DROP TABLE webhook;
        """
    )
    op.execute("ALTER TABLE blob NO FORCE ROW LEVEL SECURITY")
    op.execute("DELETE FROM blob WHERE kind = 'webhook-secret'")
    op.execute("ALTER TABLE blob FORCE ROW LEVEL SECURITY")
    op.execute(f"UPDATE api_key SET scopes = array_remove(scopes, '{SCOPE}')")  # noqa: S608 - a constant


_TABLES = """
CREATE TABLE webhook (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    principal_id UUID NOT NULL,
    url VARCHAR NOT NULL,
    description VARCHAR NOT NULL,
    events TEXT[] NOT NULL,
    enabled BOOLEAN NOT NULL,
    disabled_reason VARCHAR,
    revision INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(principal_id) REFERENCES principal (id)
);
CREATE INDEX ix_webhook_tenant_created ON webhook (tenant_id, created_at DESC, id DESC);

CREATE TABLE webhook_secret (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    webhook_id UUID NOT NULL,
    scheme VARCHAR NOT NULL,
    blob_id UUID NOT NULL,
    public_key VARCHAR,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(webhook_id) REFERENCES webhook (id),
    FOREIGN KEY(blob_id) REFERENCES blob (id)
);
CREATE INDEX ix_webhook_secret_webhook_id ON webhook_secret (webhook_id);
CREATE INDEX ix_webhook_secret_blob_id ON webhook_secret (blob_id);

CREATE TABLE webhook_event (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    type VARCHAR NOT NULL,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    file_id UUID,
    data JSONB NOT NULL,
    dispatched_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id)
);
CREATE INDEX ix_webhook_event_pending ON webhook_event (id) WHERE dispatched_at IS NULL;
CREATE INDEX ix_webhook_event_occurred_at ON webhook_event (occurred_at, id);

CREATE TABLE webhook_delivery (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    webhook_id UUID NOT NULL,
    event_id UUID NOT NULL,
    state VARCHAR NOT NULL,
    round INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    reason VARCHAR,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    next_attempt_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    UNIQUE (webhook_id, event_id),
    FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    FOREIGN KEY(webhook_id) REFERENCES webhook (id) ON DELETE CASCADE,
    FOREIGN KEY(event_id) REFERENCES webhook_event (id) ON DELETE CASCADE
);
CREATE INDEX ix_webhook_delivery_event_id ON webhook_delivery (event_id);
CREATE INDEX ix_webhook_delivery_created
    ON webhook_delivery (webhook_id, created_at DESC, id DESC);
CREATE INDEX ix_webhook_delivery_state
    ON webhook_delivery (webhook_id, state, created_at DESC, id DESC);
CREATE INDEX ix_webhook_delivery_unstarted ON webhook_delivery (id)
    WHERE state = 'pending' AND started_at IS NULL;
CREATE INDEX ix_webhook_delivery_open ON webhook_delivery (webhook_id) WHERE state = 'pending';

CREATE TABLE webhook_attempt (
    delivery_id UUID NOT NULL,
    round INTEGER NOT NULL,
    number INTEGER NOT NULL,
    tenant_id UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    outcome VARCHAR NOT NULL,
    status INTEGER,
    duration_ms INTEGER NOT NULL,
    PRIMARY KEY (delivery_id, round, number),
    FOREIGN KEY(delivery_id) REFERENCES webhook_delivery (id) ON DELETE CASCADE,
    FOREIGN KEY(tenant_id) REFERENCES tenant (id)
);
"""

# For the workers' rounds: of every tenant, references only.
_ACROSS_TENANTS = """
CREATE FUNCTION undispatched_webhook_events(after_event uuid, max_rows integer)
RETURNS TABLE (tenant_id uuid, event_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    SELECT webhook_event.tenant_id, webhook_event.id
    FROM webhook_event
    WHERE webhook_event.dispatched_at IS NULL
      AND (after_event IS NULL OR webhook_event.id > after_event)
    ORDER BY webhook_event.id
    LIMIT max_rows
$$;

CREATE FUNCTION unstarted_webhook_deliveries(after_delivery uuid, max_rows integer)
RETURNS TABLE (tenant_id uuid, delivery_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    SELECT webhook_delivery.tenant_id, webhook_delivery.id
    FROM webhook_delivery
    WHERE webhook_delivery.state = 'pending' AND webhook_delivery.started_at IS NULL
      AND (after_delivery IS NULL OR webhook_delivery.id > after_delivery)
    ORDER BY webhook_delivery.id
    LIMIT max_rows
$$;

-- Those whose next attempt should long have been: their workflow may be gone.
CREATE FUNCTION open_webhook_deliveries(
    min_age interval, after_delivery uuid, max_rows integer
)
RETURNS TABLE (tenant_id uuid, delivery_id uuid, round integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    SELECT webhook_delivery.tenant_id, webhook_delivery.id, webhook_delivery.round
    FROM webhook_delivery
    WHERE webhook_delivery.state = 'pending' AND webhook_delivery.started_at IS NOT NULL
      AND coalesce(webhook_delivery.next_attempt_at, webhook_delivery.started_at)
          < now() - min_age
      AND (after_delivery IS NULL OR webhook_delivery.id > after_delivery)
    ORDER BY webhook_delivery.id
    LIMIT max_rows
$$;

CREATE FUNCTION spent_webhook_secrets(after_secret uuid, max_rows integer)
RETURNS TABLE (tenant_id uuid, secret_id uuid, blob_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    SELECT webhook_secret.tenant_id, webhook_secret.id, webhook_secret.blob_id
    FROM webhook_secret
    JOIN webhook ON webhook.id = webhook_secret.webhook_id
    WHERE (webhook_secret.expires_at < now() OR webhook.deleted_at IS NOT NULL)
      AND (after_secret IS NULL OR webhook_secret.id > after_secret)
    ORDER BY webhook_secret.id
    LIMIT max_rows
$$;

-- The oldest first, by the index: those that are not old yet are not looked at.
CREATE FUNCTION old_webhook_events(
    kept_for interval, after_time timestamptz, after_event uuid, max_rows integer
)
RETURNS TABLE (tenant_id uuid, event_id uuid, occurred_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    SELECT webhook_event.tenant_id, webhook_event.id, webhook_event.occurred_at
    FROM webhook_event
    WHERE webhook_event.occurred_at < now() - kept_for
      AND webhook_event.dispatched_at IS NOT NULL
      AND NOT EXISTS (
        SELECT FROM webhook_delivery
        WHERE webhook_delivery.event_id = webhook_event.id AND webhook_delivery.state = 'pending'
      )
      AND (webhook_event.occurred_at, webhook_event.id) > (
        coalesce(after_time, '-infinity'),
        coalesce(after_event, '00000000-0000-0000-0000-000000000000')
      )
    ORDER BY webhook_event.occurred_at, webhook_event.id
    LIMIT max_rows
$$;

REVOKE ALL ON FUNCTION undispatched_webhook_events(uuid, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION unstarted_webhook_deliveries(uuid, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION open_webhook_deliveries(interval, uuid, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION spent_webhook_secrets(uuid, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION old_webhook_events(interval, timestamptz, uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION undispatched_webhook_events(uuid, integer) TO muniment_app;
GRANT EXECUTE ON FUNCTION unstarted_webhook_deliveries(uuid, integer) TO muniment_app;
GRANT EXECUTE ON FUNCTION open_webhook_deliveries(interval, uuid, integer) TO muniment_app;
GRANT EXECUTE ON FUNCTION spent_webhook_secrets(uuid, integer) TO muniment_app;
GRANT EXECUTE ON FUNCTION old_webhook_events(interval, timestamptz, uuid, integer) TO muniment_app;
"""

_TRIGGERS = """
-- The event's row, in the transaction of what happened, where an endpoint of the tenant asks for it.
-- Its id is a UUIDv7, as all are: 48 bits of milliseconds over a random one.
CREATE FUNCTION emit_webhook_event(tenant uuid, event_type text, file uuid, event_data jsonb)
RETURNS void LANGUAGE plpgsql AS
$$
BEGIN
    INSERT INTO webhook_event (id, tenant_id, type, occurred_at, file_id, data)
    SELECT encode(
               set_bit(set_bit(overlay(
                   uuid_send(gen_random_uuid())
                   PLACING substring(int8send(
                       floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
                   ) FROM 3)
                   FROM 1 FOR 6
               ), 52, 1), 53, 1),
               'hex'
           )::uuid,
           tenant, event_type, clock_timestamp(), file, event_data
    WHERE EXISTS (
        SELECT FROM webhook
        WHERE webhook.tenant_id = tenant AND webhook.enabled AND webhook.deleted_at IS NULL
          AND event_type = ANY(webhook.events)
    );
    IF FOUND THEN
        PERFORM pg_notify('muniment_webhook', '');
    END IF;
END
$$;

CREATE FUNCTION webhook_of_file() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM emit_webhook_event(
        NEW.tenant_id,
        CASE WHEN OLD.state = 'trashed' AND NEW.state <> 'erased' THEN 'file.restored'
             ELSE 'file.' || NEW.state END,
        NEW.id,
        jsonb_build_object('file_id', NEW.id, 'state', NEW.state, 'previous_state', OLD.state)
    );
    RETURN NULL;
END
$$;
CREATE TRIGGER webhook_file AFTER UPDATE ON file FOR EACH ROW
    WHEN (
        OLD.state IS DISTINCT FROM NEW.state
        AND (
            NEW.state IN (
                'ready', 'failed', 'cancelled', 'quarantined', 'rejected', 'trashed', 'erased'
            )
            OR (OLD.state = 'trashed' AND NEW.state <> 'erasing')
        )
    )
    EXECUTE FUNCTION webhook_of_file();

CREATE FUNCTION webhook_of_job() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM emit_webhook_event(
        NEW.tenant_id,
        'job.' || NEW.state,
        NEW.file_id,
        jsonb_build_object(
            'job_id', NEW.id, 'kind', NEW.kind, 'state', NEW.state, 'degraded', NEW.degraded,
            'file_id', NEW.file_id, 'version_id', NEW.version_id
        )
    );
    RETURN NULL;
END
$$;
CREATE TRIGGER webhook_job AFTER UPDATE ON job FOR EACH ROW
    WHEN (
        OLD.state IS DISTINCT FROM NEW.state
        AND NEW.state IN ('waiting', 'completed', 'failed', 'cancelled')
    )
    EXECUTE FUNCTION webhook_of_job();

CREATE FUNCTION webhook_of_integrity_fault() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.closed_at IS NOT NULL OR NEW.closed_at IS NULL) THEN
        RETURN NULL;
    END IF;
    PERFORM emit_webhook_event(
        NEW.tenant_id,
        CASE TG_OP WHEN 'INSERT' THEN 'integrity.fault_found' ELSE 'integrity.fault_closed' END,
        NULL,
        jsonb_build_object('fault_id', NEW.id, 'blob_id', NEW.blob_id, 'kind', NEW.kind)
    );
    RETURN NULL;
END
$$;
CREATE TRIGGER webhook_integrity_fault AFTER INSERT OR UPDATE ON integrity_fault FOR EACH ROW
    EXECUTE FUNCTION webhook_of_integrity_fault();
"""
