"""The least that Flask can do: what `bench/webhook.py` compares with."""

from flask import Flask

app = Flask(__name__, static_folder=None)


@app.post("/empty")
def empty() -> tuple[str, int]:
    """Answer as an accepted alert is, without doing anything."""
    return "", 202
