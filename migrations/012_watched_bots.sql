-- Trading bots that run elsewhere and report over MQTT.

-- What is reported below `prefix` belongs to one user. Before there is an admin, the bot of
-- MQTT_TOPIC_PREFIX belongs to nobody.
CREATE TABLE watched_bots (
    id                 BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id            BIGINT REFERENCES users (id) ON DELETE CASCADE,
    prefix             TEXT NOT NULL UNIQUE CHECK (prefix LIKE '%/' AND prefix !~ '[+#]'),
    name               TEXT NOT NULL,
    is_default         BOOLEAN NOT NULL DEFAULT false,
    state              TEXT NOT NULL DEFAULT 'UNKNOWN'
                       CHECK (state IN ('UNKNOWN', 'ONLINE', 'OFFLINE', 'STOPPED')),
    last_heartbeat_at  TIMESTAMPTZ,
    last_message_at    TIMESTAMPTZ,
    offline_since      TIMESTAMPTZ,
    started_at         TIMESTAMPTZ,
    heartbeat          JSONB,
    balance            JSONB,
    session            JSONB,
    messages           BIGINT NOT NULL DEFAULT 0,
    bad_messages       BIGINT NOT NULL DEFAULT 0,
    created_at         TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX watched_bots_of_user ON watched_bots (user_id);

-- Every message received, as it came. `identity` is what makes it this message and no other; `is_unique`
-- says that a second one with the same identity is the same message delivered again.
CREATE TABLE watched_events (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    watched_bot_id  BIGINT NOT NULL REFERENCES watched_bots (id) ON DELETE CASCADE,
    topic           TEXT NOT NULL,
    kind            TEXT NOT NULL,
    payload         BYTEA NOT NULL,
    payload_bytes   INTEGER NOT NULL,
    understood      JSONB,
    problem         TEXT,
    is_retained     BOOLEAN NOT NULL,
    sent_at         TIMESTAMPTZ,
    received_at     TIMESTAMPTZ NOT NULL,
    identity        BYTEA NOT NULL,
    is_unique       BOOLEAN NOT NULL
);
CREATE UNIQUE INDEX watched_events_once ON watched_events (watched_bot_id, identity) WHERE is_unique;
CREATE INDEX watched_events_again ON watched_events (watched_bot_id, identity, received_at) WHERE NOT is_unique;
CREATE INDEX watched_events_newest ON watched_events (watched_bot_id, id DESC) WHERE kind <> 'HEARTBEAT';
CREATE INDEX watched_events_kind ON watched_events (watched_bot_id, kind, id DESC);
CREATE INDEX watched_events_age ON watched_events (received_at);

CREATE TABLE watched_trades (
    id                BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    watched_bot_id    BIGINT NOT NULL REFERENCES watched_bots (id) ON DELETE CASCADE,
    trade_id          TEXT,
    market            TEXT NOT NULL,
    name              TEXT NOT NULL,
    side              TEXT,
    quantity          NUMERIC,
    quantity_unit     TEXT,
    entry_price       NUMERIC,
    exit_price        NUMERIC,
    stop_loss         NUMERIC,
    take_profit       NUMERIC,
    pnl               NUMERIC,
    pnl_fraction      NUMERIC,
    duration_seconds  BIGINT,
    entry_reason      TEXT,
    exit_reason       TEXT,
    state             TEXT NOT NULL CHECK (state IN ('OPEN', 'CLOSED')),
    opened_at         TIMESTAMPTZ,
    closed_at         TIMESTAMPTZ,
    is_completed      BOOLEAN NOT NULL DEFAULT false
);
CREATE INDEX watched_trades_open ON watched_trades (watched_bot_id, market, id) WHERE state = 'OPEN';
CREATE INDEX watched_trades_closed ON watched_trades (watched_bot_id, closed_at DESC, id DESC)
    WHERE state = 'CLOSED';
CREATE INDEX watched_trades_uncompleted ON watched_trades (watched_bot_id, market, id)
    WHERE state = 'CLOSED' AND NOT is_completed;
CREATE UNIQUE INDEX watched_trades_once ON watched_trades (watched_bot_id, trade_id) WHERE trade_id IS NOT NULL;

CREATE TABLE watched_balances (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    watched_bot_id  BIGINT NOT NULL REFERENCES watched_bots (id) ON DELETE CASCADE,
    at              TIMESTAMPTZ NOT NULL,
    balance         NUMERIC,
    equity          NUMERIC,
    available       NUMERIC,
    locked          NUMERIC,
    unrealized_pnl  NUMERIC,
    total_pnl       NUMERIC,
    reason          TEXT
);
CREATE INDEX watched_balances_at ON watched_balances (watched_bot_id, at);

-- The MQTT listener: its name at the broker, the same for ever, and how it stands with the broker. `claims`
-- counts who was the listener: while it stands still, nobody else received what we hold. `subscribed` are
-- the prefixes that the broker may remember for us.
CREATE TABLE mqtt_status (
    only_row      BOOLEAN PRIMARY KEY DEFAULT true CHECK (only_row),
    client_id     TEXT NOT NULL DEFAULT 'dashtrade-' || left(replace(gen_random_uuid()::text, '-', ''), 12),
    broker        TEXT,
    is_connected  BOOLEAN NOT NULL DEFAULT false,
    changed_at    TIMESTAMPTZ,
    words         TEXT,
    told_at       TIMESTAMPTZ,
    claims        BIGINT NOT NULL DEFAULT 0,
    subscribed    TEXT[] NOT NULL DEFAULT '{}'
);
INSERT INTO mqtt_status DEFAULT VALUES;
