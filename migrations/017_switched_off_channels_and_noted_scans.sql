-- A channel of Discord that a user chose for signals and trades, and that takes nothing any more, is switched off.
ALTER TABLE user_discord_settings
    ADD COLUMN notification_channel_off_at TIMESTAMPTZ,
    ADD COLUMN notification_channel_off_because TEXT;

-- When a scan was claimed, by the database's own clock: one that a clock which was ahead made of bars that had not
-- closed yet is done again when they have.
ALTER TABLE scans ADD COLUMN noted_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp();
