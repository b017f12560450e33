-- The paper broker's own books, apart from ours: what a real broker would keep at its end.

CREATE TABLE paper_accounts (
    connection_id  BIGINT PRIMARY KEY REFERENCES user_api_keys (id) ON DELETE CASCADE,
    starting_cash  NUMERIC NOT NULL,
    cash           NUMERIC NOT NULL,
    created_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at     TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE paper_positions (
    connection_id  BIGINT NOT NULL REFERENCES paper_accounts (connection_id) ON DELETE CASCADE,
    symbol         TEXT NOT NULL,
    quantity       NUMERIC NOT NULL,
    average_price  NUMERIC NOT NULL,
    realized       NUMERIC NOT NULL,
    PRIMARY KEY (connection_id, symbol)
);

CREATE TABLE paper_orders (
    id               UUID PRIMARY KEY,
    number           BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,
    connection_id    BIGINT NOT NULL REFERENCES paper_accounts (connection_id) ON DELETE CASCADE,
    client_order_id  TEXT NOT NULL,
    symbol           TEXT NOT NULL,
    asset_class      TEXT NOT NULL CHECK (asset_class IN ('STOCK', 'CRYPTO')),
    side             TEXT NOT NULL CHECK (side IN ('BUY', 'SELL')),
    quantity         NUMERIC NOT NULL CHECK (quantity > 0),
    notional         NUMERIC,
    order_type       TEXT NOT NULL CHECK (order_type IN ('MARKET', 'LIMIT', 'STOP', 'STOP_LIMIT')),
    limit_price      NUMERIC,
    stop_price       NUMERIC,
    time_in_force    TEXT NOT NULL CHECK (time_in_force IN ('DAY', 'GTC', 'IOC')),
    position_intent  TEXT CHECK (position_intent IN ('open', 'close')),
    state            TEXT NOT NULL CHECK (state IN
        ('SUBMITTED', 'PARTIALLY_FILLED', 'FILLED', 'REJECTED', 'CANCELED', 'EXPIRED')),
    filled_quantity  NUMERIC NOT NULL CHECK (filled_quantity BETWEEN 0 AND quantity),
    average_price    NUMERIC,
    fee              NUMERIC NOT NULL,
    fee_asset        TEXT NOT NULL,
    triggered        BOOLEAN NOT NULL,
    message          TEXT,
    submitted_at     TIMESTAMPTZ NOT NULL,
    updated_at       TIMESTAMPTZ NOT NULL,
    active_from      TIMESTAMPTZ NOT NULL,
    expires_at       TIMESTAMPTZ,
    filled_at        TIMESTAMPTZ,
    ended_at         TIMESTAMPTZ,
    UNIQUE (connection_id, client_order_id)
);
CREATE INDEX paper_orders_open ON paper_orders (connection_id, number)
    WHERE state IN ('SUBMITTED', 'PARTIALLY_FILLED');

CREATE TABLE paper_fills (
    id                   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id             UUID NOT NULL REFERENCES paper_orders (id) ON DELETE CASCADE,
    cumulative_quantity  NUMERIC NOT NULL,
    symbol               TEXT NOT NULL,
    side                 TEXT NOT NULL CHECK (side IN ('BUY', 'SELL')),
    quantity             NUMERIC NOT NULL CHECK (quantity > 0),
    price                NUMERIC NOT NULL CHECK (price > 0),
    fee                  NUMERIC NOT NULL CHECK (fee >= 0),
    fee_asset            TEXT NOT NULL,
    fee_in_base          BOOLEAN NOT NULL,
    position_quantity    NUMERIC NOT NULL,
    filled_at            TIMESTAMPTZ NOT NULL,
    UNIQUE (order_id, cumulative_quantity)
);
