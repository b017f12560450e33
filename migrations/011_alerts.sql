-- Alerts: where they go, what each user wants, and what became of each.

-- One row for each place that alerts are sent to. A row without a user is the operator's: its address
-- is a setting, and `address_hash` tells when that setting was changed.
CREATE TABLE alert_channels (
    id                   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id              BIGINT REFERENCES users (id) ON DELETE CASCADE,
    transport            TEXT NOT NULL CHECK (transport IN ('DISCORD', 'WEBHOOK', 'MQTT')),
    address_sealed       BYTEA,
    sealed_with          TEXT,
    address_hash         BYTEA,
    shown                TEXT NOT NULL,
    is_active            BOOLEAN NOT NULL DEFAULT true,
    switched_off_because TEXT,
    switched_off_at      TIMESTAMPTZ,
    quiet_until          TIMESTAMPTZ,
    last_sent_at         TIMESTAMPTZ,
    created_at           TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX alert_channels_one ON alert_channels (coalesce(user_id, 0), transport);

-- A service that asked everybody on this address to wait.
CREATE TABLE alert_pauses (
    transport  TEXT PRIMARY KEY,
    until      TIMESTAMPTZ NOT NULL
);

-- What a user decided; a kind without a row is delivered as `alerts/kinds.py` says.
CREATE TABLE user_alert_settings (
    user_id   BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind      TEXT NOT NULL,
    delivery  TEXT NOT NULL CHECK (delivery IN ('ON', 'OFF', 'MERGED')),
    PRIMARY KEY (user_id, kind)
);

-- One notification on its way to one channel. Several may travel in one message: then `content` and the
-- attempts stand with the first of them, and the others point to it.
CREATE TABLE alert_deliveries (
    id               BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    notification_id  BIGINT NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
    channel_id       BIGINT NOT NULL REFERENCES alert_channels (id) ON DELETE CASCADE,
    kind             TEXT NOT NULL,
    state            TEXT NOT NULL DEFAULT 'WAITING' CHECK (state IN ('WAITING', 'SENT', 'FAILED')),
    not_before       TIMESTAMPTZ NOT NULL,
    together         BOOLEAN NOT NULL DEFAULT false,
    merged_into      BIGINT REFERENCES alert_deliveries (id) ON DELETE SET NULL,
    content          JSONB,
    attempts         INTEGER NOT NULL DEFAULT 0,
    next_attempt_at  TIMESTAMPTZ,
    error            TEXT,
    sent_at          TIMESTAMPTZ,
    message_id       TEXT,
    created_at       TIMESTAMPTZ NOT NULL DEFAULT now(),
    UNIQUE (notification_id, channel_id)
);
CREATE INDEX alert_deliveries_waiting ON alert_deliveries (channel_id, id) WHERE state = 'WAITING';
CREATE INDEX alert_deliveries_merged ON alert_deliveries (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX alert_deliveries_kind ON alert_deliveries (channel_id, kind, id DESC);

-- Sending is told by alert_deliveries. What was noted before there were alerts is history and is not sent.
ALTER TABLE notifications DROP COLUMN attempts;
ALTER TABLE notifications DROP COLUMN next_attempt_at;
ALTER TABLE notifications DROP COLUMN error;
ALTER TABLE notifications DROP COLUMN sent_at;
ALTER TABLE notifications DROP COLUMN message_id;
ALTER TABLE notifications ADD COLUMN routed_at TIMESTAMPTZ;
UPDATE notifications SET routed_at = now();
CREATE INDEX notifications_unrouted ON notifications (id) WHERE routed_at IS NULL;

-- A part of DashTrade that died and was told about; gone when it is back.
CREATE TABLE part_outages (
    part     TEXT PRIMARY KEY,
    since    TIMESTAMPTZ NOT NULL,
    told_at  TIMESTAMPTZ NOT NULL
);

-- The days a user was sent a summary of, by the user's calendar.
CREATE TABLE daily_summaries (
    user_id     BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    day         DATE NOT NULL,
    written_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, day)
);
