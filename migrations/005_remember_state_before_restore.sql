-- After a restore every connection is HALTED until reconciled; this is what it returns to then.

ALTER TABLE user_api_keys ADD COLUMN state_after_reconcile TEXT
    CHECK (state_after_reconcile IN ('ACTIVE', 'REDUCING', 'HALTED'));
