"""The page Admin: the whole server, for admins alone."""
