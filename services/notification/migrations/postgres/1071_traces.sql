-- The trace of what a delivery tells of, and of what a phone is woken for (W3C Trace Context).
ALTER TABLE delivery ADD COLUMN traceparent TEXT;
ALTER TABLE push ADD COLUMN traceparent TEXT;
