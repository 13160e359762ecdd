-- The trace of the request that created it, which what becomes of it belongs to as well (W3C Trace Context).
ALTER TABLE trusonafication ADD COLUMN traceparent TEXT;
