-- Who may see what: row-level security forced on every table, one visibility function, and the
-- few functions that must look across tenants. The application role owns nothing.

CREATE FUNCTION current_tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT nullif(current_setting('app.tenant', true), '')::uuid $$;

-- Null for the system itself (activities): it sees every file of the tenant it works for.
CREATE FUNCTION current_principal() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT nullif(current_setting('app.principal', true), '')::uuid $$;

-- The ids of the files that the current principal may `read`, `write` or `manage`. Every query over
-- files, pages, chunks and jobs goes through it. Trashed and erased files are a matter of state, not
-- of visibility.
CREATE FUNCTION visible_files(level text DEFAULT 'read') RETURNS SETOF uuid
LANGUAGE sql STABLE PARALLEL SAFE AS
$$
    SELECT file.id
    FROM file
    WHERE file.tenant_id = (SELECT current_tenant())
      AND (
        (SELECT current_principal()) IS NULL
        OR (SELECT principal.is_admin FROM principal WHERE principal.id = current_principal())
        OR file.owner_id = (SELECT current_principal())
        OR (
            level = 'read'
            AND file.collection_id IN (
                SELECT collection.id FROM collection WHERE collection.visibility = 'tenant'
            )
        )
        OR EXISTS (
            SELECT 1
            FROM access_grant
            WHERE (access_grant.file_id = file.id
                   OR access_grant.collection_id = file.collection_id)
              AND array_position(ARRAY['read', 'write', 'manage'], access_grant.level)
                  >= array_position(ARRAY['read', 'write', 'manage'], visible_files.level)
              AND (
                access_grant.principal_id = (SELECT current_principal())
                OR access_grant.group_id IN (
                    SELECT group_member.group_id FROM group_member
                    WHERE group_member.principal_id = (SELECT current_principal())
                )
              )
        )
      )
$$;

DO $$
DECLARE
    name text;
BEGIN
    FOR name IN
        SELECT table_name FROM information_schema.columns
        WHERE table_schema = 'public' AND column_name = 'tenant_id'
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY tenant_isolation ON %I TO muniment_app'
            ' USING (tenant_id = (SELECT current_tenant()))'
            ' WITH CHECK (tenant_id = (SELECT current_tenant()))', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO muniment_app', name);
    END LOOP;
END
$$;

ALTER TABLE tenant ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON tenant TO muniment_app USING (id = (SELECT current_tenant()));
GRANT SELECT ON tenant TO muniment_app;

-- What was done stays done.
REVOKE UPDATE, DELETE ON audit_event FROM muniment_app;
REVOKE UPDATE, DELETE ON decision FROM muniment_app;
REVOKE UPDATE ON job_event FROM muniment_app;

-- Looked up before the tenant is known: a key's hash is unguessable, so knowing it is the proof.
CREATE FUNCTION authenticate_api_key(hash bytea)
RETURNS TABLE (key_id uuid, tenant_id uuid, principal_id uuid, scopes text[], is_admin boolean)
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    UPDATE api_key SET last_used_at = now()
    WHERE api_key.key_hash = hash
      AND (api_key.last_used_at IS NULL OR api_key.last_used_at < now() - interval '1 minute')
      AND api_key.revoked_at IS NULL;

    SELECT api_key.id, api_key.tenant_id, api_key.principal_id, api_key.scopes, principal.is_admin
    FROM api_key JOIN principal ON principal.id = api_key.principal_id
    WHERE api_key.key_hash = hash
      AND api_key.revoked_at IS NULL
      AND (api_key.expires_at IS NULL OR api_key.expires_at > now())
$$;

-- As above, for a browser's event stream: a ticket opens one, within its minute, while its key lives.
CREATE FUNCTION use_stream_ticket(hash bytea)
RETURNS TABLE (key_id uuid, tenant_id uuid, principal_id uuid, scopes text[], is_admin boolean)
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    WITH used AS (
        UPDATE stream_ticket SET used_at = now()
        WHERE stream_ticket.ticket_hash = hash
          AND stream_ticket.used_at IS NULL AND stream_ticket.expires_at > now()
        RETURNING stream_ticket.key_id
    )
    SELECT api_key.id, api_key.tenant_id, api_key.principal_id, api_key.scopes, principal.is_admin
    FROM used
    JOIN api_key ON api_key.id = used.key_id
    JOIN principal ON principal.id = api_key.principal_id
    WHERE api_key.revoked_at IS NULL
      AND (api_key.expires_at IS NULL OR api_key.expires_at > now())
$$;

-- Jobs that were committed and that Temporal has not taken, for the reconciler: references only.
CREATE FUNCTION unstarted_jobs(min_age interval, max_rows integer)
RETURNS TABLE (tenant_id uuid, job_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    SELECT job.tenant_id, job.id
    FROM job
    WHERE job.started_at IS NULL AND job.finished_at IS NULL AND job.created_at < now() - min_age
    ORDER BY job.created_at
    LIMIT max_rows
$$;

-- Jobs that were started and have not ended, for whoever asks Temporal whether it still has them.
CREATE FUNCTION open_jobs(min_age interval, after_job uuid, max_rows integer)
RETURNS TABLE (tenant_id uuid, job_id uuid, workflow_id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    SELECT job.tenant_id, job.id, job.workflow_id
    FROM job
    WHERE job.finished_at IS NULL AND job.started_at < now() - min_age
      AND (after_job IS NULL OR job.id > after_job)
    ORDER BY job.id
    LIMIT max_rows
$$;

REVOKE ALL ON FUNCTION authenticate_api_key(bytea) FROM PUBLIC;
REVOKE ALL ON FUNCTION use_stream_ticket(bytea) FROM PUBLIC;
REVOKE ALL ON FUNCTION unstarted_jobs(interval, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION open_jobs(interval, uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION authenticate_api_key(bytea) TO muniment_app;
GRANT EXECUTE ON FUNCTION use_stream_ticket(bytea) TO muniment_app;
GRANT EXECUTE ON FUNCTION unstarted_jobs(interval, integer) TO muniment_app;
GRANT EXECUTE ON FUNCTION open_jobs(interval, uuid, integer) TO muniment_app;

-- Row-level security is forced on the owner too; these let its functions above see what they need
-- where the owner is not a superuser.
CREATE POLICY definer ON api_key TO CURRENT_USER USING (true);
CREATE POLICY definer ON stream_ticket TO CURRENT_USER USING (true);
CREATE POLICY definer ON principal TO CURRENT_USER USING (true);
CREATE POLICY definer ON tenant TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY definer ON job TO CURRENT_USER USING (true);

-- Wakes the watchers: ids and the kind of event, the row itself is read under row-level security.
-- Events of one kind that commit together are one notification.
CREATE FUNCTION notify_job_event() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM pg_notify('muniment_job_event', NEW.tenant_id || ':' || NEW.job_id || ':' || NEW.event);
    RETURN NULL;
END
$$;
CREATE TRIGGER job_event_notify AFTER INSERT ON job_event
    FOR EACH ROW EXECUTE FUNCTION notify_job_event();
