"""Alerts: what each kind of news says, how floods are merged, and the transports that carry it."""
