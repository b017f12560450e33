"""The commands of `manage.py`, one file per kind of thing."""
