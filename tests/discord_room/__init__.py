"""A simulated Discord server to try the bot in."""
