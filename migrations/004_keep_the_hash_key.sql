-- The key of the hashes by which tokens are looked up: sealed, and not changed by a rotation.

ALTER TABLE server_settings
    ADD COLUMN hash_key_sealed  BYTEA,
    ADD COLUMN hash_key_sealed_with  TEXT;
ALTER TABLE users ADD COLUMN totp_sealed_with TEXT;
