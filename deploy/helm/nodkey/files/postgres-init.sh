#!/bin/sh
# The image runs it once, over an empty volume: ../postgres-init.sql with the passwords of the services, which are files.
set -eu
secrets=${SECRETS:-/run/secrets}
for service in registry binding trusonafication notification; do
  name=$(printf %s_DB_PASSWORD "$service" | tr '[:lower:]' '[:upper:]')
  # An assignment of its own: where the file is missing, it fails.
  password=$(cat "$secrets/${service}_db_password")
  export "$name=$password"
done
# POSTGRES_USER is the image's; psql takes the rest from the environment.
exec psql --no-psqlrc -v ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres --file "${INIT_SQL:-/etc/nodkey/postgres-init.sql}"
