#!/bin/sh
# Makes and upgrades Temporal's two databases. Runs to its end before the server starts, and again,
# without harm, at every `docker compose up`. The password comes in SQL_PASSWORD.
set -eu

sql() {
  temporal-sql-tool --plugin postgres12 --ep "$POSTGRES_SEEDS" -p 5432 -u "$POSTGRES_USER" "$@"
}

prepare() {
  database=$1
  versions=/etc/temporal/schema/postgresql/v12/$2/versioned
  sql --db "$database" create || echo "$database exists"
  # Fails where the schema has a version already; the upgrade that follows then does the rest.
  sql --db "$database" setup-schema -v 0.0 || echo "$database has a schema"
  sql --db "$database" update-schema -d "$versions"
}

prepare temporal temporal
prepare temporal_visibility visibility
