-- When the last copy of a signal came: the window in which copies are duplicates slides.

ALTER TABLE signals ADD COLUMN last_copy_at TIMESTAMPTZ;
CREATE INDEX signals_of_service ON signals (service_key_id, sender_id) WHERE service_key_id IS NOT NULL;
