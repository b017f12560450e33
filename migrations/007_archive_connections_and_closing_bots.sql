-- A connection that traded is put away, not deleted: its trades stay. A bot may wait for its close to be put away.

ALTER TABLE user_api_keys ADD COLUMN archived_at TIMESTAMPTZ;
ALTER TABLE user_api_keys DROP CONSTRAINT user_api_keys_user_id_label_key;
CREATE UNIQUE INDEX user_api_keys_label ON user_api_keys (user_id, label) WHERE archived_at IS NULL;
CREATE INDEX user_api_keys_user ON user_api_keys (user_id);

ALTER TABLE user_bot_configs ADD COLUMN archive_when_closed BOOLEAN NOT NULL DEFAULT false;
CREATE INDEX user_bot_configs_closing ON user_bot_configs (id) WHERE archive_when_closed AND archived_at IS NULL;
