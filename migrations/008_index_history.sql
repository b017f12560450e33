-- What the trading pages read of one user, without reading everybody's.

CREATE INDEX fills_of_user ON fills (user_id, filled_at, id) INCLUDE (realized_pnl);
CREATE INDEX orders_open_of_user ON orders (user_id, id DESC) WHERE finished_at IS NULL;
CREATE INDEX orders_of_user ON orders (user_id, id DESC);
CREATE INDEX user_bot_configs_holding_of_user ON user_bot_configs (user_id, id) WHERE quantity <> 0;
CREATE INDEX lanes_mismatched ON lanes (connection_id) WHERE mismatch_since IS NOT NULL;
