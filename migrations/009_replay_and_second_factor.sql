-- A signal may be played again on a paper connection made for that; a code of a second factor counts once.

ALTER TABLE signals ADD COLUMN replay_of BIGINT REFERENCES signals (id) ON DELETE SET NULL;
CREATE INDEX signals_replays ON signals (replay_of) WHERE replay_of IS NOT NULL;
CREATE INDEX signals_by_time ON signals (user_id, received_at DESC, id DESC);

-- A replay can never reach a real account: the connection it goes to is a paper one by this constraint.
ALTER TABLE user_api_keys ADD COLUMN is_replay BOOLEAN NOT NULL DEFAULT false
    CHECK (NOT is_replay OR (broker = 'paper' AND mode = 'paper'));
CREATE UNIQUE INDEX user_api_keys_replay ON user_api_keys (user_id) WHERE is_replay AND archived_at IS NULL;

ALTER TABLE users ADD COLUMN totp_last_step BIGINT;
