#!/bin/sh
# Runs once, when the database of compose.yaml is made: a role for DashTrade that owns its own database and may
# nothing else. The one that PostgreSQL's image makes could read files and run programs.
set -eu
password="$(cat "${DASHTRADE_PASSWORD_FILE:-/run/secrets/database_password}")"
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
	--set=role="${DASHTRADE_ROLE:-dashtrade}" --set=database="$POSTGRES_DB" --set=password="$password" <<'SQL'
CREATE ROLE :"role" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';
ALTER DATABASE :"database" OWNER TO :"role";
REVOKE CONNECT ON DATABASE :"database" FROM PUBLIC;
SQL
