"""The page Signals: what came in, what became of each, and playing one again on paper."""
