"""Carrying decisions out: the steps that `bot_engine` takes in a lane."""
