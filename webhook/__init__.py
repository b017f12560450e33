"""The webhook server's routes, limits and answers; `webhook_server.py` puts them together."""
