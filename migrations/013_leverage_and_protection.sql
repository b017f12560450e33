-- Leverage, and protection that is more than one stop and one target.

ALTER TABLE user_api_keys DROP CONSTRAINT user_api_keys_broker_check;
ALTER TABLE user_api_keys ADD CHECK (broker IN ('paper', 'alpaca', 'blofin', 'bybit', 'binanceusdm'));
-- What the broker says the key may do, and what the user must know of it (it may withdraw, say).
ALTER TABLE user_api_keys ADD COLUMN warning TEXT;

ALTER TABLE user_bot_configs
    ADD COLUMN leverage INTEGER CHECK (leverage BETWEEN 1 AND 125),
    ADD COLUMN max_leverage INTEGER CHECK (max_leverage BETWEEN 1 AND 125),
    ADD COLUMN margin_mode TEXT NOT NULL DEFAULT 'isolated' CHECK (margin_mode IN ('isolated', 'cross')),
    -- How long a limit entry rests before it is cancelled; without it, for ever.
    ADD COLUMN entry_valid_minutes INTEGER CHECK (entry_valid_minutes > 0),
    -- Percent of the first filled quantity to leave at each target in turn; the last takes the rest.
    ADD COLUMN target_shares NUMERIC[],
    -- The target after which the stop goes to the entry.
    ADD COLUMN break_even_after INTEGER CHECK (break_even_after > 0),
    ADD COLUMN trailing_stop_percent NUMERIC CHECK (trailing_stop_percent > 0 AND trailing_stop_percent < 100),
    ADD COLUMN trailing_activation_percent NUMERIC CHECK (trailing_activation_percent > 0),
    ADD COLUMN time_limit_minutes INTEGER CHECK (time_limit_minutes > 0);

ALTER TABLE legs
    ADD COLUMN leverage INTEGER,
    ADD COLUMN margin_mode TEXT,
    -- Targets with their shares, trailing, break-even and time limit, as `core.protection` has them.
    ADD COLUMN terms JSONB,
    -- What the broker is asked to watch for what the entry fills.
    ADD COLUMN attached_stop NUMERIC,
    ADD COLUMN attached_target NUMERIC,
    ADD COLUMN entry_valid_until TIMESTAMPTZ,
    -- The target whose share a close leg is.
    ADD COLUMN target_number INTEGER;

ALTER TABLE orders
    ADD COLUMN leverage INTEGER,
    ADD COLUMN margin_mode TEXT,
    ADD COLUMN stop_loss NUMERIC,
    ADD COLUMN take_profit NUMERIC,
    ADD COLUMN reduce_only BOOLEAN NOT NULL DEFAULT false,
    ADD COLUMN cancel_code TEXT,
    ADD COLUMN cancel_sentence TEXT;

ALTER TABLE protections
    ADD COLUMN break_even_after INTEGER,
    ADD COLUMN trail_distance NUMERIC CHECK (trail_distance > 0),
    ADD COLUMN trail_from NUMERIC,
    ADD COLUMN trail_best NUMERIC,
    ADD COLUMN close_at TIMESTAMPTZ,
    -- What rests at the broker where `held_by` is BROKER; `broker_version` counts what was placed there.
    ADD COLUMN broker_ids TEXT[] NOT NULL DEFAULT '{}',
    ADD COLUMN broker_version INTEGER NOT NULL DEFAULT 0,
    -- Whether all that rested was taken away, since an exit of ours goes.
    ADD COLUMN lifted BOOLEAN NOT NULL DEFAULT false,
    ADD COLUMN seen_at TIMESTAMPTZ,
    -- When the lane looks at what rests.
    ADD COLUMN look_at TIMESTAMPTZ;
CREATE INDEX protections_look ON protections (look_at) WHERE look_at IS NOT NULL;

-- What may still rest at the broker of a position that is closed, until it is seen to be gone.
CREATE TABLE leftover_protections (
    leg_id          BIGINT PRIMARY KEY REFERENCES legs (id) ON DELETE CASCADE,
    broker_ids      TEXT[] NOT NULL,
    broker_version  INTEGER NOT NULL,
    created_at      TIMESTAMPTZ NOT NULL,
    look_at         TIMESTAMPTZ NOT NULL
);

CREATE TABLE protection_targets (
    bot_config_id  BIGINT NOT NULL REFERENCES protections (bot_config_id) ON DELETE CASCADE,
    number         INTEGER NOT NULL,
    price          NUMERIC NOT NULL,
    share          NUMERIC NOT NULL CHECK (share > 0 AND share <= 100),
    hit_at         TIMESTAMPTZ,
    PRIMARY KEY (bot_config_id, number)
);

ALTER TABLE bot_risk_events DROP CONSTRAINT bot_risk_events_kind_check;
ALTER TABLE bot_risk_events ADD CHECK (kind IN ('STOP', 'TARGET', 'TIME_LIMIT', 'RISK_LIMIT', 'DAILY_LOSS_LIMIT',
    'FLATTEN', 'MANUAL_CLOSE', 'ACCOUNT_MISMATCH', 'MISSED_ALERT', 'PROTECTION_MISSING', 'CONNECTION_PROBLEM',
    'EXTERNAL_CLOSE', 'EXIT_FAILED', 'PRICE_FAULT'));
-- A target that is not the last closes a share only.
ALTER TABLE bot_risk_events ADD COLUMN target_number INTEGER;

ALTER TABLE position_snapshots
    ADD COLUMN leverage NUMERIC,
    ADD COLUMN margin_mode TEXT,
    ADD COLUMN margin NUMERIC,
    ADD COLUMN liquidation_price NUMERIC;
