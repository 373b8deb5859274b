#!/bin/sh
# Runs once, when the database is made: the application's role, which owns nothing, gets a password.
# Migrations find it and grant it what it needs.
set -eu

psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
  --set password="$MUNIMENT_APP_PASSWORD" <<'SQL'
CREATE ROLE muniment_app LOGIN PASSWORD :'password';
SQL
