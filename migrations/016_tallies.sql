-- Figures that only grow: what came in, what became of it, how long it took. /metrics gives them.

-- One row for each thing that happened, written in the transaction in which it happened, so that none is counted
-- that was rolled back and none is missed. A row of its own and not one that all add to: that would hold up
-- everybody who counts the same. `le` is the bound of a histogram that a process has found already.
CREATE TABLE tallies (
    figure   TEXT NOT NULL,
    labels   TEXT[] NOT NULL,
    seconds  DOUBLE PRECISION NOT NULL DEFAULT 0,
    times    BIGINT NOT NULL DEFAULT 1,
    le       DOUBLE PRECISION
);
-- Rows live for seconds; left to the usual share of a table they would pile up dead.
ALTER TABLE tallies SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- What the tallies added up to. Which figures there are and what their labels mean: core/tallies.py.
CREATE TABLE counters (
    figure   TEXT NOT NULL,
    labels   TEXT[] NOT NULL,
    le       DOUBLE PRECISION NOT NULL,
    times    BIGINT NOT NULL,
    seconds  DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (figure, labels, le)
);

CREATE FUNCTION seconds_between(earlier TIMESTAMPTZ, later TIMESTAMPTZ) RETURNS DOUBLE PRECISION
    LANGUAGE sql IMMUTABLE AS $$ SELECT greatest(extract(epoch FROM later - earlier)::float8, 0) $$;

-- A service names its source itself, and each name would be a figure of its own for ever.
CREATE FUNCTION source_counted(source TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN source IN ('tradingview', 'discord', 'api', 'replay', 'reversal') THEN source ELSE 'other' END
$$;

CREATE FUNCTION tally_signal() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    source TEXT := source_counted(NEW.source);
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO tallies (figure, labels, seconds)
        VALUES ('signal_received', ARRAY[source], seconds_between(NEW.received_at, NEW.stored_at));
    ELSIF NEW.duplicates > OLD.duplicates THEN
        INSERT INTO tallies (figure, labels, times)
        VALUES ('signal_duplicate', ARRAY[source], NEW.duplicates - OLD.duplicates);
    END IF;
    IF NEW.decided_at IS NOT NULL AND (TG_OP = 'INSERT' OR OLD.decided_at IS NULL) THEN
        INSERT INTO tallies (figure, labels, seconds)
        VALUES ('signal_decided', ARRAY[source], seconds_between(NEW.received_at, NEW.decided_at));
    END IF;
    IF NEW.finished_at IS NOT NULL AND (TG_OP = 'INSERT' OR OLD.finished_at IS NULL) THEN
        INSERT INTO tallies (figure, labels, seconds)
        VALUES ('signal_finished', ARRAY[source, NEW.state, coalesce(NEW.code, NEW.state)],
                seconds_between(NEW.received_at, NEW.finished_at));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tally_new_signal AFTER INSERT ON signals FOR EACH ROW EXECUTE FUNCTION tally_signal();
CREATE TRIGGER tally_signal AFTER UPDATE ON signals FOR EACH ROW
    WHEN (NEW.duplicates > OLD.duplicates OR OLD.decided_at IS NULL AND NEW.decided_at IS NOT NULL
          OR OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL)
    EXECUTE FUNCTION tally_signal();

CREATE FUNCTION tally_order() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    broker TEXT := (SELECT connections.broker FROM user_api_keys AS connections WHERE id = NEW.connection_id);
BEGIN
    IF NEW.acknowledged_at IS NOT NULL AND (TG_OP = 'INSERT' OR OLD.acknowledged_at IS NULL) THEN
        INSERT INTO tallies (figure, labels, seconds)
        VALUES ('order_acknowledged', ARRAY[broker, NEW.purpose],
                seconds_between(NEW.created_at, NEW.acknowledged_at));
    END IF;
    IF NEW.in_doubt_since IS NOT NULL AND (TG_OP = 'INSERT' OR OLD.in_doubt_since IS NULL) THEN
        INSERT INTO tallies (figure, labels) VALUES ('order_in_doubt', ARRAY[broker, NEW.purpose]);
    END IF;
    IF NEW.finished_at IS NOT NULL AND (TG_OP = 'INSERT' OR OLD.finished_at IS NULL) THEN
        INSERT INTO tallies (figure, labels, seconds)
        VALUES ('order_finished', ARRAY[broker, NEW.purpose, NEW.state],
                seconds_between(NEW.created_at, NEW.finished_at));
    END IF;
    IF TG_OP = 'INSERT' THEN
        INSERT INTO tallies (figure, labels) VALUES ('order_planned', ARRAY[broker, NEW.purpose]);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tally_new_order AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION tally_order();
CREATE TRIGGER tally_order AFTER UPDATE ON orders FOR EACH ROW
    WHEN (OLD.acknowledged_at IS NULL AND NEW.acknowledged_at IS NOT NULL
          OR OLD.in_doubt_since IS NULL AND NEW.in_doubt_since IS NOT NULL
          OR OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL)
    EXECUTE FUNCTION tally_order();

CREATE FUNCTION tally_fill() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies (figure, labels, seconds)
    SELECT 'fill_booked', ARRAY[connections.broker, NEW.source], seconds_between(NEW.filled_at, NEW.booked_at)
      FROM user_bot_configs AS bots JOIN user_api_keys AS connections ON connections.id = bots.connection_id
     WHERE bots.id = NEW.bot_config_id;
    RETURN NULL;
END $$;
CREATE TRIGGER tally_fill AFTER INSERT ON fills FOR EACH ROW EXECUTE FUNCTION tally_fill();

CREATE FUNCTION tally_risk_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies (figure, labels) VALUES ('risk_event', ARRAY[NEW.kind]);
    RETURN NULL;
END $$;
CREATE TRIGGER tally_risk_event AFTER INSERT ON bot_risk_events FOR EACH ROW EXECUTE FUNCTION tally_risk_event();

CREATE FUNCTION tally_notification() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies (figure, labels) VALUES ('notification', ARRAY[NEW.kind]);
    RETURN NULL;
END $$;
CREATE TRIGGER tally_notification AFTER INSERT ON notifications
    FOR EACH ROW EXECUTE FUNCTION tally_notification();

CREATE FUNCTION tally_delivery() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    transport TEXT := (SELECT channels.transport FROM alert_channels AS channels WHERE id = NEW.channel_id);
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.attempts > OLD.attempts THEN
        INSERT INTO tallies (figure, labels, times)
        VALUES ('alert_attempt', ARRAY[transport], NEW.attempts - OLD.attempts);
    END IF;
    IF NEW.state <> 'WAITING' AND (TG_OP = 'INSERT' OR OLD.state = 'WAITING') THEN
        INSERT INTO tallies (figure, labels, seconds)
        VALUES ('alert_finished', ARRAY[transport, NEW.state],
                seconds_between(NEW.created_at, coalesce(NEW.sent_at, clock_timestamp())));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tally_new_delivery AFTER INSERT ON alert_deliveries FOR EACH ROW
    WHEN (NEW.state <> 'WAITING') EXECUTE FUNCTION tally_delivery();
CREATE TRIGGER tally_delivery AFTER UPDATE ON alert_deliveries FOR EACH ROW
    WHEN (NEW.attempts > OLD.attempts OR OLD.state = 'WAITING' AND NEW.state <> 'WAITING')
    EXECUTE FUNCTION tally_delivery();

-- What failed lately is rare, and asked for by the doctor and the admin's page.
CREATE INDEX alert_deliveries_failed ON alert_deliveries (created_at) WHERE state = 'FAILED';

-- Subjects name a lane, a connection or a channel by its number; counted is the kind of thing.
CREATE FUNCTION tally_fault() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies (figure, labels, times)
    VALUES ('fault', ARRAY[rtrim(regexp_replace(NEW.subject, '\s*\d+', '', 'g'))],
            NEW.times - CASE TG_OP WHEN 'UPDATE' THEN OLD.times ELSE 0 END);
    RETURN NULL;
END $$;
CREATE TRIGGER tally_fault AFTER INSERT OR UPDATE OF times ON faults
    FOR EACH ROW EXECUTE FUNCTION tally_fault();

CREATE FUNCTION tally_watched_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies (figure, labels)
    VALUES ('watched_message', ARRAY[NEW.kind, CASE WHEN NEW.problem IS NULL THEN 'no' ELSE 'yes' END]);
    RETURN NULL;
END $$;
CREATE TRIGGER tally_watched_event AFTER INSERT ON watched_events
    FOR EACH ROW EXECUTE FUNCTION tally_watched_event();

CREATE FUNCTION tally_channel_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies (figure, labels, seconds)
    VALUES ('channel_message', ARRAY[NEW.state], seconds_between(NEW.posted_at, clock_timestamp()));
    RETURN NULL;
END $$;
CREATE TRIGGER tally_new_channel_message AFTER INSERT ON channel_messages FOR EACH ROW
    WHEN (NEW.state <> 'SENDING') EXECUTE FUNCTION tally_channel_message();
CREATE TRIGGER tally_channel_message AFTER UPDATE OF state ON channel_messages FOR EACH ROW
    WHEN (OLD.state = 'SENDING' AND NEW.state <> 'SENDING') EXECUTE FUNCTION tally_channel_message();

-- What a look at bars came to; one that should have found bars and scored none did not work either.
CREATE FUNCTION scan_result(scan scans) RETURNS TEXT LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN scan.failure IS NOT NULL THEN 'FAILED' WHEN scan.pairs = 0 THEN 'NOTHING_WANTED'
                WHEN scan.late > 0 AND scan.scores = 0 THEN 'NO_PRICES' ELSE 'DONE' END
$$;

CREATE FUNCTION tally_scan() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies (figure, labels, seconds)
    VALUES ('scan_ended', ARRAY[scan_result(NEW)], seconds_between(NEW.started_at, NEW.finished_at));
    RETURN NULL;
END $$;
CREATE TRIGGER tally_scan AFTER UPDATE OF finished_at ON scans FOR EACH ROW
    WHEN (OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL) EXECUTE FUNCTION tally_scan();

CREATE FUNCTION tally_signal_notification() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies (figure, labels, seconds)
    VALUES ('reversal_message_ended', ARRAY['SIGNAL', CASE WHEN NEW.sent_at IS NULL THEN 'FAILED' ELSE 'SENT' END],
            seconds_between(NEW.created_at, coalesce(NEW.sent_at, NEW.failed_at)));
    RETURN NULL;
END $$;
CREATE TRIGGER tally_signal_notification AFTER UPDATE ON signal_notifications FOR EACH ROW
    WHEN (OLD.sent_at IS NULL AND NEW.sent_at IS NOT NULL OR OLD.failed_at IS NULL AND NEW.failed_at IS NOT NULL)
    EXECUTE FUNCTION tally_signal_notification();

CREATE FUNCTION tally_trade_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies (figure, labels, seconds)
    VALUES ('reversal_message_ended', ARRAY['UPDATE', CASE WHEN NEW.discord_notified THEN 'SENT' ELSE 'FAILED' END],
            seconds_between(NEW.created_at, clock_timestamp()));
    RETURN NULL;
END $$;
CREATE TRIGGER tally_trade_update AFTER UPDATE ON trade_updates FOR EACH ROW
    WHEN (NEW.discord_notified AND NOT OLD.discord_notified OR OLD.failed_at IS NULL AND NEW.failed_at IS NOT NULL)
    EXECUTE FUNCTION tally_trade_update();

CREATE FUNCTION tally_tracked_trade() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies (figure, labels) VALUES ('tracked_trade_ended', ARRAY[coalesce(NEW.close_reason, NEW.status)]);
    RETURN NULL;
END $$;
CREATE TRIGGER tally_tracked_trade AFTER UPDATE OF status ON user_trades FOR EACH ROW
    WHEN (OLD.status = 'open' AND NEW.status <> 'open') EXECUTE FUNCTION tally_tracked_trade();
