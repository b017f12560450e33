"""The parts of the page Watched bots: bots that run elsewhere and report over MQTT."""
