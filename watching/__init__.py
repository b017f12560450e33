"""Watching trading bots that run elsewhere and report over MQTT."""
