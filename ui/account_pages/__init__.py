"""The page Settings: what belongs to the user's own account."""
