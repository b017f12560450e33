-- What the pages read anew every few seconds, found without walking a user's whole history.

-- Round trips are added up bot by bot, in the order of booking, from the index alone.
CREATE INDEX fills_trips ON fills (user_id, bot_config_id, id)
    INCLUDE (realized_pnl, filled_at, position_after, kind);
-- Which sources and codes a user's signals have, and those of one source or code, the newest first.
CREATE INDEX signals_by_source ON signals (user_id, source, received_at DESC, id DESC);
CREATE INDEX signals_by_code ON signals (user_id, code, received_at DESC, id DESC) WHERE code IS NOT NULL;
-- What went wrong is rare and looked for among much that went well.
CREATE INDEX bot_trades_not_traded ON bot_trades (user_id, status, created_at DESC, id DESC)
    WHERE status IN ('REFUSED', 'REJECTED', 'FAILED', 'CANCELED');
CREATE INDEX bot_risk_events_kind ON bot_risk_events (user_id, kind, created_at DESC, id DESC);
CREATE INDEX notifications_event ON notifications (user_id, (content->>'event'));
