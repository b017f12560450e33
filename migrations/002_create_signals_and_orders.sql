-- The way of a signal: inbox, plan, orders, fills; and what stands around it.

CREATE TABLE server_settings (
    only_row       BOOLEAN PRIMARY KEY DEFAULT true CHECK (only_row),
    trading_state  TEXT NOT NULL DEFAULT 'ACTIVE' CHECK (trading_state IN ('ACTIVE', 'REDUCING', 'HALTED')),
    flatten        BOOLEAN NOT NULL DEFAULT false,
    sign_up        TEXT NOT NULL DEFAULT 'invitation' CHECK (sign_up IN ('invitation', 'open', 'closed')),
    sign_up_code_hash BYTEA
);
INSERT INTO server_settings DEFAULT VALUES;

CREATE TABLE user_sessions (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id       BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash    BYTEA NOT NULL UNIQUE,
    agent         TEXT NOT NULL DEFAULT '',
    created_at    TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_seen_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    expires_at    TIMESTAMPTZ NOT NULL,
    revoked_at    TIMESTAMPTZ
);
CREATE INDEX user_sessions_user ON user_sessions (user_id);

CREATE TABLE user_invites (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        TEXT NOT NULL CHECK (kind IN ('invite', 'reset')),
    user_id     BIGINT REFERENCES users (id) ON DELETE CASCADE,
    code_hash   BYTEA NOT NULL UNIQUE,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    expires_at  TIMESTAMPTZ NOT NULL,
    used_at     TIMESTAMPTZ
);

CREATE TABLE sign_in_attempts (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email         TEXT NOT NULL,
    address       TEXT NOT NULL,
    succeeded     BOOLEAN NOT NULL,
    attempted_at  TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX sign_in_attempts_email ON sign_in_attempts (lower(email), attempted_at);
CREATE INDEX sign_in_attempts_address ON sign_in_attempts (address, attempted_at);

CREATE TABLE service_keys (
    id               BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name             TEXT NOT NULL UNIQUE,
    key_hash         BYTEA NOT NULL UNIQUE,
    allowed_users    BIGINT[],
    allowed_channels TEXT[],
    is_active        BOOLEAN NOT NULL DEFAULT true,
    created_at       TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_used_at     TIMESTAMPTZ
);

CREATE TABLE signals (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uuid           UUID NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    user_id        BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    lane_id        BIGINT REFERENCES lanes (id) ON DELETE CASCADE,
    number         BIGINT,
    source         TEXT NOT NULL,
    token_id       BIGINT REFERENCES user_webhook_tokens (id) ON DELETE SET NULL,
    service_key_id BIGINT REFERENCES service_keys (id) ON DELETE SET NULL,
    body_hash      BYTEA NOT NULL,
    sender_id      TEXT,
    body           BYTEA NOT NULL,
    understood     JSONB,
    bot_config_id  BIGINT REFERENCES user_bot_configs (id) ON DELETE CASCADE,
    state          TEXT NOT NULL CHECK (state IN
        ('STORED', 'WAITING_FOR_OPEN', 'PLANNED', 'EXECUTED', 'SKIPPED', 'REFUSED', 'FAILED')),
    code           TEXT,
    sentence       TEXT,
    duplicates     INTEGER NOT NULL DEFAULT 0,
    wake_at        TIMESTAMPTZ,
    sent_at        TIMESTAMPTZ,
    received_at    TIMESTAMPTZ NOT NULL,
    stored_at      TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    decided_at     TIMESTAMPTZ,
    finished_at    TIMESTAMPTZ,
    UNIQUE (lane_id, number),
    CHECK ((lane_id IS NULL) = (number IS NULL)),
    CHECK (state NOT IN ('SKIPPED', 'REFUSED', 'FAILED') OR (code IS NOT NULL AND sentence IS NOT NULL))
);
CREATE INDEX signals_newest ON signals (user_id, id DESC);
CREATE INDEX signals_bot ON signals (bot_config_id, id DESC);
CREATE INDEX signals_duplicates ON signals (user_id, body_hash, received_at);
CREATE INDEX signals_sender_id ON signals (user_id, sender_id) WHERE sender_id IS NOT NULL;
CREATE INDEX signals_unfinished ON signals (lane_id, number) WHERE state IN ('STORED', 'WAITING_FOR_OPEN', 'PLANNED');

ALTER TABLE bot_trades ADD FOREIGN KEY (signal_id) REFERENCES signals (id) ON DELETE SET NULL;

CREATE TABLE plans (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lane_id        BIGINT NOT NULL REFERENCES lanes (id) ON DELETE CASCADE,
    bot_config_id  BIGINT NOT NULL REFERENCES user_bot_configs (id) ON DELETE CASCADE,
    signal_id      BIGINT UNIQUE REFERENCES signals (id) ON DELETE CASCADE,
    risk_event_id  BIGINT UNIQUE REFERENCES bot_risk_events (id) ON DELETE CASCADE,
    event_uuid     UUID NOT NULL,
    own_exit       BOOLEAN NOT NULL DEFAULT false,
    position_before NUMERIC NOT NULL,
    code           TEXT,
    sentence       TEXT,
    created_at     TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    finished_at    TIMESTAMPTZ,
    CHECK ((signal_id IS NULL) <> (risk_event_id IS NULL))
);
CREATE INDEX plans_unfinished ON plans (lane_id) WHERE finished_at IS NULL;
CREATE INDEX plans_bot ON plans (bot_config_id, id DESC);

CREATE TABLE legs (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    plan_id      BIGINT NOT NULL REFERENCES plans (id) ON DELETE CASCADE,
    number       INTEGER NOT NULL,
    purpose      TEXT NOT NULL CHECK (purpose IN ('OPEN', 'CLOSE')),
    side         TEXT NOT NULL CHECK (side IN ('BUY', 'SELL')),
    quantity     NUMERIC,
    parts        NUMERIC[] NOT NULL DEFAULT '{}',
    order_type   TEXT NOT NULL DEFAULT 'MARKET' CHECK (order_type IN ('MARKET', 'LIMIT', 'STOP')),
    limit_price  NUMERIC,
    stop_price   NUMERIC,
    target_price NUMERIC,
    expected_price NUMERIC,
    closes_account BOOLEAN NOT NULL DEFAULT false,
    state        TEXT NOT NULL DEFAULT 'PLANNED' CHECK (state IN
        ('PLANNED', 'WORKING', 'DONE', 'SUPERSEDED', 'REFUSED', 'FAILED')),
    code         TEXT,
    sentence     TEXT,
    wake_at      TIMESTAMPTZ,
    started_at   TIMESTAMPTZ,
    finished_at  TIMESTAMPTZ,
    UNIQUE (plan_id, number)
);

CREATE TABLE orders (
    id                BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_order_id   TEXT NOT NULL UNIQUE,
    leg_id            BIGINT NOT NULL REFERENCES legs (id) ON DELETE CASCADE,
    part              INTEGER NOT NULL,
    attempt           INTEGER NOT NULL,
    user_id           BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    connection_id     BIGINT NOT NULL REFERENCES user_api_keys (id) ON DELETE CASCADE,
    lane_id           BIGINT NOT NULL REFERENCES lanes (id) ON DELETE CASCADE,
    bot_config_id     BIGINT NOT NULL REFERENCES user_bot_configs (id) ON DELETE CASCADE,
    purpose           TEXT NOT NULL CHECK (purpose IN ('OPEN', 'CLOSE')),
    symbol            TEXT NOT NULL,
    side              TEXT NOT NULL CHECK (side IN ('BUY', 'SELL')),
    quantity          NUMERIC NOT NULL CHECK (quantity > 0),
    order_type        TEXT NOT NULL,
    limit_price       NUMERIC,
    closes_account_position BOOLEAN,
    expected_price    NUMERIC,
    reserved          NUMERIC NOT NULL DEFAULT 0,
    send_by           TIMESTAMPTZ NOT NULL,
    sends             INTEGER NOT NULL DEFAULT 0,
    next_send_at      TIMESTAMPTZ,
    state             TEXT NOT NULL DEFAULT 'NEW' CHECK (state IN ('NEW', 'IN_DOUBT', 'SUBMITTED', 'PARTIALLY_FILLED',
        'FILLED', 'REJECTED', 'CANCELED', 'EXPIRED', 'NOT_RECEIVED')),
    in_doubt_since    TIMESTAMPTZ,
    not_found_count   INTEGER NOT NULL DEFAULT 0,
    next_look_up_at   TIMESTAMPTZ,
    cancel_asked_at   TIMESTAMPTZ,
    broker_order_id   TEXT,
    broker_code       TEXT,
    broker_message    TEXT,
    filled_quantity   NUMERIC NOT NULL DEFAULT 0,
    average_price     NUMERIC,
    fee               NUMERIC NOT NULL DEFAULT 0,
    fee_asset         TEXT,
    created_at        TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    sent_at           TIMESTAMPTZ,
    acknowledged_at   TIMESTAMPTZ,
    polled_at         TIMESTAMPTZ,
    finished_at       TIMESTAMPTZ,
    UNIQUE (leg_id, part, attempt)
);
CREATE INDEX orders_open ON orders (connection_id) WHERE finished_at IS NULL;
CREATE INDEX orders_open_in_lane ON orders (lane_id) WHERE finished_at IS NULL;
CREATE INDEX orders_bot ON orders (bot_config_id, id DESC);
CREATE INDEX orders_reserved ON orders (connection_id, created_at) WHERE purpose = 'OPEN';

CREATE TABLE fills (
    id                   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id             BIGINT REFERENCES orders (id) ON DELETE CASCADE,
    user_id              BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    bot_config_id        BIGINT NOT NULL REFERENCES user_bot_configs (id) ON DELETE CASCADE,
    kind                 TEXT NOT NULL DEFAULT 'TRADE' CHECK (kind IN ('TRADE', 'EXTERNAL_CLOSE', 'FEE_CORRECTION')),
    cumulative_quantity  NUMERIC,
    side                 TEXT NOT NULL CHECK (side IN ('BUY', 'SELL')),
    quantity             NUMERIC NOT NULL CHECK (quantity >= 0),
    price                NUMERIC NOT NULL,
    fee                  NUMERIC NOT NULL DEFAULT 0,
    fee_asset            TEXT,
    fee_in_base          BOOLEAN NOT NULL DEFAULT false,
    realized_pnl         NUMERIC NOT NULL DEFAULT 0,
    position_after       NUMERIC NOT NULL,
    average_price_after  NUMERIC NOT NULL,
    source               TEXT NOT NULL,
    activity_id          TEXT,
    filled_at            TIMESTAMPTZ NOT NULL,
    booked_at            TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (order_id, cumulative_quantity),
    UNIQUE (bot_config_id, activity_id),
    CHECK ((kind = 'TRADE') = (order_id IS NOT NULL AND cumulative_quantity IS NOT NULL))
);
CREATE INDEX fills_bot ON fills (bot_config_id, id);
CREATE INDEX fills_day ON fills (bot_config_id, filled_at);

CREATE TABLE protections (
    bot_config_id   BIGINT PRIMARY KEY REFERENCES user_bot_configs (id) ON DELETE CASCADE,
    leg_id          BIGINT NOT NULL REFERENCES legs (id) ON DELETE CASCADE,
    stop_price      NUMERIC,
    target_price    NUMERIC,
    held_by         TEXT NOT NULL DEFAULT 'ENGINE' CHECK (held_by IN ('ENGINE', 'BROKER')),
    checked_at      TIMESTAMPTZ,
    missing_since   TIMESTAMPTZ,
    missing_seconds NUMERIC NOT NULL DEFAULT 0,
    created_at      TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE position_snapshots (
    connection_id  BIGINT NOT NULL REFERENCES user_api_keys (id) ON DELETE CASCADE,
    symbol         TEXT NOT NULL,
    quantity       NUMERIC NOT NULL,
    average_price  NUMERIC NOT NULL,
    current_price  NUMERIC NOT NULL,
    unrealized     NUMERIC NOT NULL,
    taken_at       TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (connection_id, symbol)
);

CREATE TABLE account_snapshots (
    connection_id  BIGINT PRIMARY KEY REFERENCES user_api_keys (id) ON DELETE CASCADE,
    equity         NUMERIC NOT NULL,
    cash           NUMERIC NOT NULL,
    buying_power   NUMERIC NOT NULL,
    currency       TEXT NOT NULL,
    taken_at       TIMESTAMPTZ NOT NULL
);

CREATE TABLE equity_snapshots (
    connection_id  BIGINT NOT NULL REFERENCES user_api_keys (id) ON DELETE CASCADE,
    taken_at       TIMESTAMPTZ NOT NULL,
    equity         NUMERIC NOT NULL,
    cash           NUMERIC NOT NULL,
    buying_power   NUMERIC NOT NULL,
    PRIMARY KEY (connection_id, taken_at)
);

CREATE TABLE day_marks (
    bot_config_id  BIGINT NOT NULL REFERENCES user_bot_configs (id) ON DELETE CASCADE,
    day            DATE NOT NULL,
    unrealized     NUMERIC NOT NULL,
    taken_at       TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (bot_config_id, day)
);

CREATE TABLE notifications (
    id               BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id          BIGINT REFERENCES users (id) ON DELETE CASCADE,
    kind             TEXT NOT NULL,
    content          JSONB NOT NULL,
    attempts         INTEGER NOT NULL DEFAULT 0,
    next_attempt_at  TIMESTAMPTZ,
    error            TEXT,
    sent_at          TIMESTAMPTZ,
    message_id       TEXT,
    created_at       TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX notifications_newest ON notifications (user_id, id DESC);

CREATE TABLE audit_log (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id     BIGINT REFERENCES users (id) ON DELETE SET NULL,
    actor       TEXT NOT NULL,
    action      TEXT NOT NULL,
    subject     TEXT NOT NULL,
    address     TEXT,
    before      JSONB,
    after       JSONB,
    at          TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX audit_log_newest ON audit_log (id DESC);

CREATE TABLE heartbeats (
    part     TEXT NOT NULL,
    process  TEXT NOT NULL,
    beat_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (part, process)
);

CREATE TABLE faults (
    subject   TEXT NOT NULL,
    words     TEXT NOT NULL,
    times     BIGINT NOT NULL DEFAULT 1,
    first_at  TIMESTAMPTZ NOT NULL,
    last_at   TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (subject, words)
);
