-- Endpoints that fail every attempt are few, and counted again and again.
CREATE INDEX endpoint_failing ON endpoint (failing_since) WHERE failing_since IS NOT NULL;
