"""One run from its beginning to its report: the storm, the calm, the settling, the leaving, the judgement."""

import logging
import random
import threading
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg2
import requests

from tests.chaos.cover import Cover
from tests.chaos.gathering import gather, under_way
from tests.chaos.invariants import INVARIANTS
from tests.chaos.report import Report, figures
from tests.chaos.scale import Scale
from tests.chaos.script import AlertDeed, script
from tests.chaos.senders import Alerts, Messages, Posts
from tests.chaos.stage import Stage, staged
from tests.chaos.troubles import Troubles

LOOK_SECONDS = 1.0
# Quiet this long, twice: what was just finished may bring about something new
QUIET_LOOKS = 3
FIRST_LEAVING = 1_000_000
LEAVING_ROUNDS = 3

logger = logging.getLogger("chaos")


def run(seed: int, scale: Scale, keep: Path | None = None) -> Report:
    """Let the run of a seed happen and return what is to be said of it; the log goes to `keep`."""
    began = time.time()
    with TemporaryDirectory(prefix="dashtrade-chaos-") as folder:
        try:
            with staged(script(seed, scale), Path(folder)) as stage:
                return _play(stage, began)
        finally:
            _keep_log(Path(folder) / "log", None if keep is None else keep / f"chaos-{seed}.log")


def _keep_log(log: Path, place: Path | None) -> None:
    if place is not None and log.exists():
        place.write_bytes(log.read_bytes())


def _play(stage: Stage, began: float) -> Report:
    alerts, messages, posts, cover = Alerts(stage), Messages(stage), Posts(stage), Cover(stage)
    troubles = Troubles(stage, random.Random(f"{stage.script.seed} victims"), messages.repeat)
    watching = threading.Thread(target=cover.run, name="cover")
    watching.start()
    storm_began = time.time()
    try:
        _storm(alerts, messages, posts, troubles)
        storm_ended = time.time()
        troubles.calm()
        _take_back_limits(stage, alerts)
        settled = _settle(stage, stage.script.scale.settle_seconds, len(stage.script.messages))
        _leave(stage, alerts)
    finally:
        cover.stop()
        watching.join(60)
    evidence = gather(stage, alerts, posts, cover, troubles.struck)
    return Report(
        seed=stage.script.seed, scale=stage.script.scale,
        violations={check.__name__: check(evidence) for check in INVARIANTS},
        troubles=dict(Counter(each.name for each in troubles.struck)),
        seconds={
            "to start": storm_began - began, "storm": storm_ended - storm_began,
            "until all was settled": settled, "in all": time.time() - began,
        },
        figures=figures(evidence, alerts, messages, posts, cover),
        log_lines=_log_lines(stage),
    )  # fmt: skip


def _storm(alerts: Alerts, messages: Messages, posts: Posts, troubles: Troubles) -> None:
    began = time.monotonic()
    threads = [
        threading.Thread(target=each.run, args=(began,), name=type(each).__name__)
        for each in (alerts, messages, posts, troubles)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _settle(stage: Stage, seconds: float, messages: int) -> float:
    """Wait until nothing is under way any more; return how long that took."""
    began, quiet = time.monotonic(), 0
    while quiet < QUIET_LOOKS and time.monotonic() - began < seconds:
        time.sleep(LOOK_SECONDS)
        try:
            is_quiet = not under_way(stage) and _stored_messages(stage) >= messages
        except psycopg2.Error:
            is_quiet = False
        quiet = quiet + 1 if is_quiet else 0
    return time.monotonic() - began


def _take_back_limits(stage: Stage, alerts: Alerts) -> None:
    """Tell bots whose entries may rest at a price to leave: such an entry would wait for ever."""
    with requests.Session() as session:
        for seat in stage.script.seats:
            if seat.part.limit_price is not None:
                number = FIRST_LEAVING - 1 - seat.number
                _close(stage, alerts, session, {"id": stage.bots[seat.number]}, number)


def _stored_messages(stage: Stage) -> int:
    with stage.database.transaction() as transaction:
        return int(transaction.value("SELECT count(*) FROM watched_events"))


def _leave(stage: Stage, alerts: Alerts) -> None:
    """Close every position, so that what was earned can be held against the accounts to the cent."""
    number = FIRST_LEAVING
    for _ in range(LEAVING_ROUNDS):
        holding = _holding(stage)
        if not holding:
            return
        with requests.Session() as session:
            for row in holding:
                number += 1
                _close(stage, alerts, session, row, number)
        _settle(stage, stage.script.scale.settle_seconds / 2, 0)


def _holding(stage: Stage) -> list[dict[str, object]]:
    sql = """
        SELECT bots.id, bots.symbol, bots.source, bots.quantity FROM user_bot_configs AS bots
          JOIN lanes ON lanes.id = bots.lane_id WHERE abs(bots.quantity) > coalesce(lanes.dust_below, 0)
    """
    with stage.database.transaction() as transaction:
        return transaction.all(sql)


def _close(
    stage: Stage, alerts: Alerts, session: requests.Session, row: dict[str, object], number: int
) -> None:
    if row["id"] not in stage.bots:
        # A bot of the Discord channel: only its channel speaks to it
        stage.discord.gateway.say(f"close {str(row['symbol']).partition('-')[0]}")
        return
    seat = stage.bots.index(int(str(row["id"])))
    deed = AlertDeed(number=number, at=0, seat=seat, action="close", skew=0.0, named=True, copies=())
    for _ in range(10):
        answer = alerts.post(session, deed)
        if answer is not None:
            alerts.answers.append(answer)
            return


def _log_lines(stage: Stage) -> dict[str, int]:
    text = stage.stack.log.read_text(errors="replace")
    return {
        "Traceback": text.count("Traceback (most recent call last)"),
        "ERROR": text.count(" ERROR "),
        "WARNING": text.count(" WARNING "),
    }
