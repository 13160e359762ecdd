-- One role and one database a service: none can read another's tables. Run once, by a superuser, with psql 15 or newer:
--   REGISTRY_DB_PASSWORD=... (and so on) psql -v ON_ERROR_STOP=1 -f deploy/postgres-init.sql
-- The services make their tables themselves when they start.
\getenv registry_password REGISTRY_DB_PASSWORD
\getenv binding_password BINDING_DB_PASSWORD
\getenv trusonafication_password TRUSONAFICATION_DB_PASSWORD
\getenv notification_password NOTIFICATION_DB_PASSWORD

CREATE ROLE nodkey_registry LOGIN PASSWORD :'registry_password';
CREATE DATABASE nodkey_registry OWNER nodkey_registry;
REVOKE CONNECT ON DATABASE nodkey_registry FROM PUBLIC;

CREATE ROLE nodkey_binding LOGIN PASSWORD :'binding_password';
CREATE DATABASE nodkey_binding OWNER nodkey_binding;
REVOKE CONNECT ON DATABASE nodkey_binding FROM PUBLIC;

CREATE ROLE nodkey_trusonafication LOGIN PASSWORD :'trusonafication_password';
CREATE DATABASE nodkey_trusonafication OWNER nodkey_trusonafication;
REVOKE CONNECT ON DATABASE nodkey_trusonafication FROM PUBLIC;

CREATE ROLE nodkey_notification LOGIN PASSWORD :'notification_password';
CREATE DATABASE nodkey_notification OWNER nodkey_notification;
REVOKE CONNECT ON DATABASE nodkey_notification FROM PUBLIC;
