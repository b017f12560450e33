-- Signals from Discord: the channels that are watched, what was seen there, and whose account is whose.

CREATE TABLE signal_channels (
    id                          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id                     BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    connection_id               BIGINT NOT NULL REFERENCES user_api_keys (id) ON DELETE CASCADE,
    guild_id                    BIGINT,
    channel_id                  BIGINT NOT NULL,
    name                        TEXT NOT NULL,
    is_active                   BOOLEAN NOT NULL DEFAULT true,
    -- Neither authors nor roles: only the owner's linked Discord account counts. No formats: all.
    author_ids                  BIGINT[] NOT NULL DEFAULT '{}',
    role_ids                    BIGINT[] NOT NULL DEFAULT '{}',
    formats                     TEXT[] NOT NULL DEFAULT '{}',
    size_mode                   TEXT NOT NULL DEFAULT 'risk_percent'
                                CHECK (size_mode IN ('notional', 'units', 'risk_percent')),
    position_size               NUMERIC NOT NULL CHECK (position_size > 0),
    max_position_size           NUMERIC NOT NULL CHECK (max_position_size > 0),
    leverage                    INTEGER NOT NULL CHECK (leverage BETWEEN 1 AND 125),
    max_leverage                INTEGER NOT NULL CHECK (max_leverage BETWEEN 1 AND 125),
    margin_mode                 TEXT NOT NULL DEFAULT 'isolated' CHECK (margin_mode IN ('isolated', 'cross')),
    entry_mode                  TEXT NOT NULL DEFAULT 'limit' CHECK (entry_mode IN ('limit', 'market')),
    entry_valid_minutes         INTEGER NOT NULL DEFAULT 60 CHECK (entry_valid_minutes > 0),
    max_price_deviation_percent NUMERIC NOT NULL DEFAULT 0.5 CHECK (max_price_deviation_percent > 0),
    max_signal_age_seconds      INTEGER NOT NULL DEFAULT 120 CHECK (max_signal_age_seconds > 0),
    stop_required               BOOLEAN NOT NULL DEFAULT true,
    allow_short                 BOOLEAN NOT NULL DEFAULT true,
    target_shares               NUMERIC[],
    break_even_after            INTEGER CHECK (break_even_after > 0),
    trailing_stop_percent       NUMERIC CHECK (trailing_stop_percent > 0 AND trailing_stop_percent < 100),
    trailing_activation_percent NUMERIC CHECK (trailing_activation_percent > 0),
    time_limit_minutes          INTEGER CHECK (time_limit_minutes > 0),
    archived_at                 TIMESTAMPTZ,
    created_at                  TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at                  TIMESTAMPTZ NOT NULL DEFAULT now(),
    CHECK (leverage <= max_leverage)
);
CREATE UNIQUE INDEX signal_channels_once ON signal_channels (user_id, channel_id) WHERE archived_at IS NULL;
CREATE INDEX signal_channels_channel ON signal_channels (channel_id) WHERE archived_at IS NULL;

ALTER TABLE user_bot_configs
    ADD COLUMN signal_channel_id BIGINT REFERENCES signal_channels (id) ON DELETE SET NULL;
CREATE INDEX user_bot_configs_channel ON user_bot_configs (signal_channel_id) WHERE signal_channel_id IS NOT NULL;
ALTER TABLE signals ADD COLUMN signal_channel_id BIGINT REFERENCES signal_channels (id) ON DELETE SET NULL;
-- A message is one signal for each registration, for good, whatever became of it.
CREATE UNIQUE INDEX signals_once_per_channel ON signals (signal_channel_id, sender_id)
    WHERE signal_channel_id IS NOT NULL;

-- Messages in signal channels that were signals, meant to be, or changed one. Other talk is not kept.
CREATE TABLE channel_messages (
    id                 BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    signal_channel_id  BIGINT NOT NULL REFERENCES signal_channels (id) ON DELETE CASCADE,
    message_id         BIGINT NOT NULL,
    author_id          BIGINT NOT NULL,
    author             TEXT NOT NULL,
    text               TEXT NOT NULL,
    state              TEXT NOT NULL CHECK (state IN ('SENDING', 'STORED', 'REFUSED', 'LATE', 'BACKLOG', 'FAILED',
        'EDITED', 'DELETED')),
    sentence           TEXT,
    signal_uuid        UUID,
    reply_id           BIGINT,
    -- When the outcome was told in the channel, or that it never will be.
    answered_at        TIMESTAMPTZ,
    posted_at          TIMESTAMPTZ NOT NULL,
    seen_at            TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX channel_messages_once ON channel_messages (signal_channel_id, message_id)
    WHERE state NOT IN ('EDITED', 'DELETED');
-- Of each edit and deletion in its servers the bot asks whether it is of a signal.
CREATE INDEX channel_messages_message ON channel_messages (message_id);
CREATE INDEX channel_messages_newest ON channel_messages (signal_channel_id, id DESC);
CREATE INDEX channel_messages_unanswered ON channel_messages (id) WHERE answered_at IS NULL;

CREATE TABLE user_discord_settings (
    user_id                        BIGINT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    discord_user_id                BIGINT UNIQUE,
    discord_username               TEXT,
    linked_at                      TIMESTAMPTZ,
    notifications_enabled          BOOLEAN NOT NULL DEFAULT true,
    enabled_timeframes             JSONB NOT NULL DEFAULT '["1h", "4h"]',
    preferred_pairs                JSONB NOT NULL DEFAULT '["EUR/USD", "GBP/USD", "USD/JPY"]',
    min_confidence                 NUMERIC NOT NULL DEFAULT 0.60 CHECK (min_confidence BETWEEN 0 AND 1),
    only_ml_enhanced               BOOLEAN NOT NULL DEFAULT true,
    max_notifications_per_day      INTEGER NOT NULL DEFAULT 20 CHECK (max_notifications_per_day >= 0),
    notification_cooldown_minutes  INTEGER NOT NULL DEFAULT 240 CHECK (notification_cooldown_minutes >= 0)
);

-- One-time codes: shown in the dashboard and typed in Discord, or the state of a visit to Discord's own page.
CREATE TABLE link_codes (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        TEXT NOT NULL CHECK (kind IN ('CODE', 'OAUTH')),
    user_id     BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    session_id  BIGINT REFERENCES user_sessions (id) ON DELETE CASCADE,
    code_hash   BYTEA NOT NULL UNIQUE,
    -- Where the dashboard was when the visit to Discord began; the way back leads nowhere else.
    dashboard   TEXT,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    expires_at  TIMESTAMPTZ NOT NULL,
    used_at     TIMESTAMPTZ
);
CREATE INDEX link_codes_user ON link_codes (user_id);
-- Guesses at codes, by Discord account.
CREATE TABLE link_attempts (
    id               BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    discord_user_id  BIGINT NOT NULL,
    attempted_at     TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX link_attempts_account ON link_attempts (discord_user_id, attempted_at);

-- How the Discord bot stands: one row. `lacking` names intents, permissions and scopes that are missing.
CREATE TABLE discord_bot_status (
    only_row      BOOLEAN PRIMARY KEY DEFAULT true CHECK (only_row),
    is_connected  BOOLEAN NOT NULL DEFAULT false,
    name          TEXT,
    application_id BIGINT,
    guilds        JSONB NOT NULL DEFAULT '[]',
    lacking       TEXT[] NOT NULL DEFAULT '{}',
    words         TEXT,
    latency_ms    INTEGER,
    changed_at    TIMESTAMPTZ
);
INSERT INTO discord_bot_status DEFAULT VALUES;
