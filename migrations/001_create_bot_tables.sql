-- The six bot tables and what they refer to. Times are UTC, money and size exact.

CREATE TABLE users (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email           TEXT NOT NULL,
    password_hash   TEXT NOT NULL,
    role            TEXT NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
    time_zone       TEXT NOT NULL DEFAULT 'UTC',
    totp_sealed     BYTEA,
    trading_state   TEXT NOT NULL DEFAULT 'ACTIVE' CHECK (trading_state IN ('ACTIVE', 'REDUCING', 'HALTED')),
    flatten         BOOLEAN NOT NULL DEFAULT false,
    is_active       BOOLEAN NOT NULL DEFAULT true,
    created_at      TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_email ON users (lower(email));

CREATE TABLE user_api_keys (
    id                  BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id             BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    broker              TEXT NOT NULL CHECK (broker IN ('paper', 'alpaca', 'blofin')),
    mode                TEXT NOT NULL CHECK (mode IN ('paper', 'live', 'demo')),
    label               TEXT NOT NULL,
    credentials_sealed  BYTEA,
    credentials_prefix  TEXT,
    sealed_with         TEXT,
    status              TEXT NOT NULL DEFAULT 'NEW' CHECK (status IN ('NEW', 'OK', 'PROBLEM')),
    last_checked_at     TIMESTAMPTZ,
    last_error          TEXT,
    reconciled_at       TIMESTAMPTZ,
    trading_state       TEXT NOT NULL DEFAULT 'ACTIVE' CHECK (trading_state IN ('ACTIVE', 'REDUCING', 'HALTED')),
    flatten             BOOLEAN NOT NULL DEFAULT false,
    allow_netting       BOOLEAN NOT NULL DEFAULT false,
    max_open_positions  INTEGER CHECK (max_open_positions > 0),
    max_position_size   NUMERIC CHECK (max_position_size > 0),
    rate_tokens         DOUBLE PRECISION NOT NULL DEFAULT 200,
    rate_refilled_at    TIMESTAMPTZ NOT NULL DEFAULT now(),
    created_at          TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at          TIMESTAMPTZ NOT NULL DEFAULT now(),
    UNIQUE (user_id, label)
);

CREATE TABLE lanes (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    connection_id  BIGINT NOT NULL REFERENCES user_api_keys (id) ON DELETE CASCADE,
    symbol         TEXT NOT NULL,
    asset_class    TEXT NOT NULL CHECK (asset_class IN ('STOCK', 'CRYPTO')),
    base_asset     TEXT,
    dust_below     NUMERIC NOT NULL DEFAULT 0,
    last_number    BIGINT NOT NULL DEFAULT 0,
    bells          BIGINT NOT NULL DEFAULT 0,
    foreign_quantity  NUMERIC NOT NULL DEFAULT 0,
    mismatch_since    TIMESTAMPTZ,
    -- The last gap seen between the account and the bots, and since when it has been the same.
    gap_quantity      NUMERIC NOT NULL DEFAULT 0,
    gap_since         TIMESTAMPTZ,
    UNIQUE (connection_id, symbol)
);

CREATE TABLE user_bot_configs (
    id                     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id                BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    connection_id          BIGINT NOT NULL REFERENCES user_api_keys (id) ON DELETE CASCADE,
    lane_id                BIGINT NOT NULL REFERENCES lanes (id) ON DELETE CASCADE,
    name                   TEXT NOT NULL,
    symbol                 TEXT NOT NULL,
    symbol_key             TEXT NOT NULL,
    timeframe              TEXT,
    source                 TEXT NOT NULL DEFAULT 'tradingview',
    size_mode              TEXT NOT NULL DEFAULT 'notional' CHECK (size_mode IN ('notional', 'units', 'risk_percent')),
    position_size          NUMERIC NOT NULL CHECK (position_size > 0),
    max_position_size      NUMERIC CHECK (max_position_size > 0),
    risk_limit_percent     NUMERIC CHECK (risk_limit_percent > 0),
    daily_loss_limit       NUMERIC CHECK (daily_loss_limit > 0),
    stop_loss_percent      NUMERIC CHECK (stop_loss_percent > 0 AND stop_loss_percent < 100),
    take_profit_percent    NUMERIC CHECK (take_profit_percent > 0),
    allow_short            BOOLEAN NOT NULL DEFAULT true,
    use_signal_quantity    BOOLEAN NOT NULL DEFAULT false,
    is_active              BOOLEAN NOT NULL DEFAULT true,
    trading_state          TEXT NOT NULL DEFAULT 'ACTIVE' CHECK (trading_state IN ('ACTIVE', 'REDUCING', 'HALTED')),
    flatten                BOOLEAN NOT NULL DEFAULT false,
    order_status           TEXT NOT NULL DEFAULT 'READY' CHECK (order_status IN
        ('READY', 'ORDER SUBMITTED', 'PARTIALLY FILLED', 'FILLED', 'REJECTED', 'ERROR', 'RISK LIMIT HIT', 'DISABLED')),
    max_signal_age_seconds INTEGER NOT NULL DEFAULT 120 CHECK (max_signal_age_seconds > 0),
    max_price_deviation_percent NUMERIC CHECK (max_price_deviation_percent > 0),
    cooldown_minutes       INTEGER NOT NULL DEFAULT 0 CHECK (cooldown_minutes >= 0),
    window_start           TIME,
    window_end             TIME,
    window_zone            TEXT NOT NULL DEFAULT 'America/New_York',
    own_exit               TEXT CHECK (own_exit IN ('LONG', 'SHORT')),
    last_stop_out_at       TIMESTAMPTZ,
    newest_sent_at         TIMESTAMPTZ,
    -- The position: always equal to what the bot's fills add up to.
    quantity               NUMERIC NOT NULL DEFAULT 0,
    average_price          NUMERIC NOT NULL DEFAULT 0,
    opened_at              TIMESTAMPTZ,
    opening_fill_id        BIGINT,
    position_pnl           NUMERIC NOT NULL DEFAULT 0,
    total_pnl              NUMERIC NOT NULL DEFAULT 0,
    total_trades           INTEGER NOT NULL DEFAULT 0,
    archived_at            TIMESTAMPTZ,
    created_at             TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at             TIMESTAMPTZ NOT NULL DEFAULT now(),
    CHECK ((window_start IS NULL) = (window_end IS NULL))
);
CREATE UNIQUE INDEX user_bot_configs_one_per_source ON user_bot_configs
    (connection_id, symbol_key, coalesce(timeframe, ''), source) WHERE archived_at IS NULL;
CREATE UNIQUE INDEX user_bot_configs_name ON user_bot_configs (user_id, lower(name)) WHERE archived_at IS NULL;
CREATE INDEX user_bot_configs_matching ON user_bot_configs (user_id, symbol_key) WHERE archived_at IS NULL;
CREATE INDEX user_bot_configs_lane ON user_bot_configs (lane_id);
CREATE INDEX user_bot_configs_holding ON user_bot_configs (connection_id) WHERE quantity <> 0;

CREATE TABLE user_webhook_tokens (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id        BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash     BYTEA NOT NULL UNIQUE,
    token_sealed   BYTEA NOT NULL,
    sealed_with    TEXT,
    prefix         TEXT NOT NULL,
    name           TEXT NOT NULL DEFAULT 'TradingView',
    connection_id  BIGINT REFERENCES user_api_keys (id) ON DELETE CASCADE,
    is_active      BOOLEAN NOT NULL DEFAULT true,
    last_used_at   TIMESTAMPTZ,
    created_at     TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX user_webhook_tokens_user ON user_webhook_tokens (user_id);

CREATE TABLE bot_trades (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id         BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    bot_config_id   BIGINT NOT NULL REFERENCES user_bot_configs (id) ON DELETE CASCADE,
    signal_id       BIGINT,
    leg_id          BIGINT UNIQUE,
    symbol          TEXT NOT NULL,
    timeframe       TEXT,
    action          TEXT NOT NULL CHECK (action IN ('BUY', 'SELL', 'CLOSE')),
    side            TEXT NOT NULL CHECK (side IN ('BUY', 'SELL')),
    order_id        TEXT,
    status          TEXT NOT NULL,
    quantity        NUMERIC,
    filled_qty      NUMERIC NOT NULL DEFAULT 0,
    filled_price    NUMERIC,
    expected_price  NUMERIC,
    slippage        NUMERIC,
    realized_pnl    NUMERIC,
    fees            NUMERIC NOT NULL DEFAULT 0,
    reason          TEXT,
    message         TEXT,
    created_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at      TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX bot_trades_newest ON bot_trades (user_id, created_at DESC, id DESC);
CREATE INDEX bot_trades_bot ON bot_trades (bot_config_id, created_at DESC);
COMMENT ON COLUMN bot_trades.slippage IS 'per unit, against the price expected; positive is worse for us, on every side';

CREATE TABLE bot_performance (
    bot_config_id    BIGINT NOT NULL REFERENCES user_bot_configs (id) ON DELETE CASCADE,
    user_id          BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    day              DATE NOT NULL,
    trades           INTEGER NOT NULL DEFAULT 0,
    wins             INTEGER NOT NULL DEFAULT 0,
    losses           INTEGER NOT NULL DEFAULT 0,
    pnl              NUMERIC NOT NULL DEFAULT 0,
    fees             NUMERIC NOT NULL DEFAULT 0,
    peak_pnl         NUMERIC NOT NULL DEFAULT 0,
    max_drawdown     NUMERIC NOT NULL DEFAULT 0,
    largest_win      NUMERIC NOT NULL DEFAULT 0,
    largest_loss     NUMERIC NOT NULL DEFAULT 0,
    exposure_seconds BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (bot_config_id, day)
);
CREATE INDEX bot_performance_user ON bot_performance (user_id, day);

CREATE TABLE bot_risk_events (
    id               BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uuid             UUID NOT NULL DEFAULT gen_random_uuid(),
    user_id          BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    connection_id    BIGINT NOT NULL REFERENCES user_api_keys (id) ON DELETE CASCADE,
    lane_id          BIGINT REFERENCES lanes (id) ON DELETE CASCADE,
    bot_config_id    BIGINT REFERENCES user_bot_configs (id) ON DELETE CASCADE,
    opening_fill_id  BIGINT,
    kind             TEXT NOT NULL CHECK (kind IN ('STOP', 'TARGET', 'RISK_LIMIT', 'DAILY_LOSS_LIMIT', 'FLATTEN',
        'MANUAL_CLOSE', 'ACCOUNT_MISMATCH', 'MISSED_ALERT', 'PROTECTION_MISSING', 'CONNECTION_PROBLEM', 'EXTERNAL_CLOSE',
        'EXIT_FAILED', 'PRICE_FAULT')),
    threshold        NUMERIC,
    actual           NUMERIC,
    action_taken     TEXT NOT NULL DEFAULT '',
    position_before  NUMERIC,
    state            TEXT NOT NULL DEFAULT 'OPEN' CHECK (state IN ('OPEN', 'PLANNED', 'DONE', 'FAILED', 'NOTED')),
    sentence         TEXT NOT NULL DEFAULT '',
    wake_at          TIMESTAMPTZ,
    created_at       TIMESTAMPTZ NOT NULL DEFAULT now(),
    finished_at      TIMESTAMPTZ
);
-- One exit per opening fill and kind, however many monitors look.
CREATE UNIQUE INDEX bot_risk_events_once ON bot_risk_events (bot_config_id, opening_fill_id, kind)
    WHERE state IN ('OPEN', 'PLANNED') AND opening_fill_id IS NOT NULL;
CREATE INDEX bot_risk_events_newest ON bot_risk_events (user_id, created_at DESC);
CREATE INDEX bot_risk_events_open ON bot_risk_events (lane_id) WHERE state IN ('OPEN', 'PLANNED');
