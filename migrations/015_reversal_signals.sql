-- Reversal signals: bars, models, what was found, who was sent it, and trades followed to stop or target.

-- Closed bars, each once, as its source gave them: times are UTC and say when a bar opened. Those of a replay
-- carry the time at which they were played.
CREATE TABLE market_bars (
    pair       TEXT NOT NULL,
    timeframe  TEXT NOT NULL,
    opened_at  TIMESTAMPTZ NOT NULL,
    source     TEXT NOT NULL,
    open       NUMERIC NOT NULL CHECK (open > 0),
    high       NUMERIC NOT NULL,
    low        NUMERIC NOT NULL CHECK (low > 0),
    close      NUMERIC NOT NULL CHECK (close > 0),
    volume     NUMERIC,
    fetched_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (pair, timeframe, opened_at),
    CHECK (high >= greatest(open, close) AND low <= least(open, close))
);

-- What was wrong with what a source gave, each thing once.
CREATE TABLE bar_faults (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pair       TEXT NOT NULL,
    timeframe  TEXT NOT NULL,
    opened_at  TIMESTAMPTZ NOT NULL,
    source     TEXT NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('MISSING', 'LATE', 'CHANGED', 'IMPOSSIBLE', 'MARKET_CLOSED', 'MISALIGNED')),
    words      TEXT NOT NULL,
    found_at   TIMESTAMPTZ NOT NULL,
    UNIQUE (pair, timeframe, opened_at, kind)
);
CREATE INDEX bar_faults_newest ON bar_faults (found_at DESC);

-- How far each pair and timeframe has been fetched, back and forth, and why it last failed.
CREATE TABLE market_feeds (
    pair           TEXT NOT NULL,
    timeframe      TEXT NOT NULL,
    source         TEXT NOT NULL,
    fetched_from   TIMESTAMPTZ,
    fetched_until  TIMESTAMPTZ,
    asked_at       TIMESTAMPTZ,
    failed_since   TIMESTAMPTZ,
    failure        TEXT,
    PRIMARY KEY (pair, timeframe)
);

-- Allowances that all processes share: when the calls of each that still count were made, the oldest first.
CREATE TABLE rate_allowances (
    name   TEXT PRIMARY KEY,
    taken  TIMESTAMPTZ[] NOT NULL DEFAULT '{}'
);

CREATE TABLE model_versions (
    version        TEXT PRIMARY KEY,
    state          TEXT NOT NULL CHECK (state IN ('CHAMPION', 'CHALLENGER', 'RETIRED')),
    trained_from   TIMESTAMPTZ NOT NULL,
    trained_until  TIMESTAMPTZ NOT NULL,
    data_hash      TEXT NOT NULL,
    series         JSONB NOT NULL,
    features       JSONB NOT NULL,
    labels         JSONB NOT NULL,
    metrics        JSONB NOT NULL,
    -- The file itself is kept here, so that every machine of a team has it; its hash is checked before loading.
    file           BYTEA NOT NULL,
    file_hash      TEXT NOT NULL,
    created_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
    champion_since TIMESTAMPTZ
);
CREATE UNIQUE INDEX model_versions_one_champion ON model_versions ((true)) WHERE state = 'CHAMPION';

-- One row for each time a timeframe's bars were looked at; the first process to write it is the one that looks.
CREATE TABLE scans (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    due_at         TIMESTAMPTZ NOT NULL UNIQUE,
    started_at     TIMESTAMPTZ NOT NULL,
    attempts       INTEGER NOT NULL DEFAULT 1,
    finished_at    TIMESTAMPTZ,
    timeframes     TEXT[] NOT NULL,
    pairs          INTEGER,
    scores         INTEGER,
    notifications  INTEGER,
    -- Pairs and timeframes whose bar had not come though the market traded: they are looked at again.
    late           INTEGER,
    model_ms       NUMERIC,
    failure        TEXT
);

-- The newest score of each pair and timeframe, sent to anybody or not.
CREATE TABLE reversal_scores (
    pair            TEXT NOT NULL,
    timeframe       TEXT NOT NULL,
    bar_opened_at   TIMESTAMPTZ NOT NULL,
    bar_closed_at   TIMESTAMPTZ NOT NULL,
    signal_type     TEXT NOT NULL CHECK (signal_type IN ('long', 'short', 'hold')),
    confidence      NUMERIC NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    stage1_prob     NUMERIC,
    stage2_prob     NUMERIC,
    model_version   TEXT NOT NULL,
    entry_price     NUMERIC NOT NULL,
    stop_loss       NUMERIC,
    take_profit     NUMERIC,
    source          TEXT NOT NULL,
    edge_shown      BOOLEAN NOT NULL,
    factors         JSONB NOT NULL DEFAULT '[]',
    scored_at       TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (pair, timeframe, model_version)
);

ALTER TABLE user_discord_settings
    ADD COLUMN notification_channel_id BIGINT,
    ADD COLUMN only_with_edge BOOLEAN NOT NULL DEFAULT true,
    ADD COLUMN running_update_minutes INTEGER NOT NULL DEFAULT 60 CHECK (running_update_minutes >= 0),
    ADD COLUMN trade_limit_hours INTEGER CHECK (trade_limit_hours > 0),
    ADD COLUMN account_currency TEXT NOT NULL DEFAULT 'USD' CHECK (account_currency ~ '^[A-Z]{3}$');

CREATE TABLE user_trades (
    id                     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id                BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    pair                   TEXT NOT NULL,
    timeframe              TEXT,
    direction              TEXT NOT NULL CHECK (direction IN ('long', 'short')),
    entry_price            NUMERIC NOT NULL CHECK (entry_price > 0),
    entry_time             TIMESTAMPTZ NOT NULL,
    -- Of a bot's trade what was filled, which may be less than the smallest lot.
    lot_size               NUMERIC NOT NULL CHECK (lot_size > 0 AND lot_size <= 100),
    stop_loss              NUMERIC NOT NULL CHECK (stop_loss > 0),
    take_profit            NUMERIC NOT NULL CHECK (take_profit > 0),
    -- As it was opened; a stop that is moved later changes nothing of it.
    reward_to_risk         NUMERIC,
    -- Since when its levels are what they are, and what they were at the last look before.
    levels_since           TIMESTAMPTZ,
    stop_before            NUMERIC,
    target_before          NUMERIC,
    notes                  TEXT NOT NULL DEFAULT '',
    account_currency       TEXT NOT NULL,
    source                 TEXT NOT NULL,
    status                 TEXT NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'closed', 'cancelled')),
    close_price            NUMERIC,
    close_time             TIMESTAMPTZ,
    close_reason           TEXT CHECK (close_reason IN ('tp_hit', 'sl_hit', 'manual_close', 'timeout')),
    result                 TEXT CHECK (result IN ('win', 'loss', 'breakeven')),
    pips                   NUMERIC,
    -- NULL where no rate was known to put it into the account's currency.
    profit_loss            NUMERIC,
    profit_loss_percentage NUMERIC,
    current_price          NUMERIC,
    current_pips           NUMERIC,
    current_pnl            NUMERIC,
    -- Bars that closed by this are not looked at again, but for those that came late: since `looked_at`.
    looked_until           TIMESTAMPTZ NOT NULL,
    looked_at              TIMESTAMPTZ,
    expires_at             TIMESTAMPTZ,
    next_update_at         TIMESTAMPTZ,
    -- Where the order is the engine's: its connection, the bot that holds it, and the signal that opened it.
    connection_id          BIGINT REFERENCES user_api_keys (id) ON DELETE SET NULL,
    bot_config_id          BIGINT REFERENCES user_bot_configs (id) ON DELETE SET NULL,
    signal_uuid            UUID,
    -- What asked for the trade; asked twice it opens once.
    request_key            TEXT NOT NULL UNIQUE,
    archived_at            TIMESTAMPTZ,
    created_at             TIMESTAMPTZ NOT NULL,
    updated_at             TIMESTAMPTZ NOT NULL,
    CHECK ((status = 'closed') = (close_reason IS NOT NULL)),
    CHECK (CASE direction WHEN 'long' THEN stop_loss < take_profit ELSE stop_loss > take_profit END)
-- Each minute rewrites every open trade: room on its page spares the indexes.
) WITH (fillfactor = 60);
CREATE INDEX user_trades_open ON user_trades (pair) WHERE status = 'open';
CREATE INDEX user_trades_user ON user_trades (user_id, id DESC) WHERE archived_at IS NULL;
CREATE INDEX user_trades_to_archive ON user_trades (close_time) WHERE status <> 'open' AND archived_at IS NULL;
CREATE INDEX user_trades_bot ON user_trades (bot_config_id) WHERE bot_config_id IS NOT NULL;

CREATE TABLE signal_notifications (
    id                  BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id             BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    pair                TEXT NOT NULL,
    timeframe           TEXT NOT NULL,
    signal_type         TEXT NOT NULL CHECK (signal_type IN ('long', 'short')),
    bar_opened_at       TIMESTAMPTZ NOT NULL,
    bar_closed_at       TIMESTAMPTZ NOT NULL,
    confidence          NUMERIC NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    entry_price         NUMERIC NOT NULL,
    stop_loss           NUMERIC NOT NULL,
    take_profit         NUMERIC NOT NULL,
    risk_reward_ratio   NUMERIC NOT NULL,
    model_version       TEXT NOT NULL,
    stage1_prob         NUMERIC,
    stage2_prob         NUMERIC,
    source              TEXT NOT NULL,
    edge_shown          BOOLEAN NOT NULL,
    factors             JSONB NOT NULL DEFAULT '[]',
    -- The day of the user's that its daily maximum counts it to.
    day                 DATE NOT NULL,
    expires_at          TIMESTAMPTZ NOT NULL,
    discord_channel_id  BIGINT,
    discord_message_id  BIGINT,
    attempts            INTEGER NOT NULL DEFAULT 0,
    next_attempt_at     TIMESTAMPTZ,
    last_error          TEXT,
    sent_at             TIMESTAMPTZ,
    failed_at           TIMESTAMPTZ,
    acknowledged        BOOLEAN NOT NULL DEFAULT false,
    acknowledged_at     TIMESTAMPTZ,
    answer              TEXT CHECK (answer IN ('opened', 'ignored')),
    trade_id            BIGINT REFERENCES user_trades (id) ON DELETE SET NULL,
    created_at          TIMESTAMPTZ NOT NULL,
    UNIQUE (user_id, pair, timeframe, bar_opened_at, signal_type)
);
ALTER TABLE user_trades ADD COLUMN signal_notification_id BIGINT UNIQUE
    REFERENCES signal_notifications (id) ON DELETE SET NULL;
CREATE INDEX signal_notifications_waiting ON signal_notifications (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX signal_notifications_unanswered ON signal_notifications (user_id, expires_at DESC, id DESC)
    WHERE NOT acknowledged;
CREATE INDEX signal_notifications_user ON signal_notifications (user_id, id DESC);
CREATE INDEX signal_notifications_day ON signal_notifications (user_id, day);
CREATE INDEX signal_notifications_pair ON signal_notifications (user_id, pair, created_at);

CREATE TABLE trade_updates (
    id                  BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trade_id            BIGINT NOT NULL REFERENCES user_trades (id) ON DELETE CASCADE,
    update_type         TEXT NOT NULL CHECK (update_type IN ('opened', 'price_update', 'sl_hit', 'tp_hit', 'manual_close',
                            'timeout', 'cancelled')),
    current_price       NUMERIC NOT NULL,
    current_pips        NUMERIC NOT NULL,
    current_pnl         NUMERIC,
    message             TEXT NOT NULL,
    discord_notified    BOOLEAN NOT NULL DEFAULT false,
    discord_channel_id  BIGINT,
    discord_message_id  BIGINT,
    attempts            INTEGER NOT NULL DEFAULT 0,
    next_attempt_at     TIMESTAMPTZ,
    last_error          TEXT,
    failed_at           TIMESTAMPTZ,
    created_at          TIMESTAMPTZ NOT NULL
);
CREATE INDEX trade_updates_trade ON trade_updates (trade_id, id);
CREATE INDEX trade_updates_waiting ON trade_updates (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
-- A trade closes once.
CREATE UNIQUE INDEX trade_updates_one_end ON trade_updates (trade_id)
    WHERE update_type IN ('sl_hit', 'tp_hit', 'manual_close', 'timeout', 'cancelled');

-- Figures of a UTC day, of all users together.
CREATE TABLE daily_statistics (
    day                    DATE PRIMARY KEY,
    users                  INTEGER NOT NULL,
    users_linked           INTEGER NOT NULL,
    signals_sent           INTEGER NOT NULL,
    signals_acknowledged   INTEGER NOT NULL,
    signals_traded         INTEGER NOT NULL,
    trades_closed          INTEGER NOT NULL,
    trades_won             INTEGER NOT NULL,
    trades_lost            INTEGER NOT NULL,
    average_reward_to_risk NUMERIC,
    average_holding_seconds INTEGER,
    -- Of pairs of currencies; what counts points is left out.
    total_pips             NUMERIC NOT NULL,
    -- In dollars, without the trades for which no rate was known.
    total_profit_loss      NUMERIC NOT NULL,
    trades_unpriced        INTEGER NOT NULL,
    delivery_ms_p50        NUMERIC,
    delivery_ms_p99        NUMERIC,
    scans                  INTEGER NOT NULL,
    scans_failed           INTEGER NOT NULL,
    messages_sent          INTEGER NOT NULL,
    messages_failed        INTEGER NOT NULL,
    model_ms_mean          NUMERIC,
    made_at                TIMESTAMPTZ NOT NULL
);
