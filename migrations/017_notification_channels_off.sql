-- A channel of Discord that a user chose for signals and trades, and that takes nothing any more, is switched off.
ALTER TABLE user_discord_settings
    ADD COLUMN notification_channel_off_at TIMESTAMPTZ,
    ADD COLUMN notification_channel_off_because TEXT;
