"""Two webhook servers and three workers, each on a machine of its own, trade as one; what dies is made up for.

The machines are network namespaces: one can be cut off as a cable is pulled, without a word to anybody.
"""

from contextlib import closing

import pytest

from bench.scaling_books import judge, signals_of
from bench.scaling_client import Errand, send
from bench.scaling_machines import Machines, NoNamespaces, inside
from bench.scaling_stage import Stage, staged
from database import lanes
from database.pool import Database
from tests.conftest import FAST
from tests.end_to_end.stack import wait_for

IN_A_ROW = ("buy", "close", "buy")
# PostgreSQL gives a silent machine up after two seconds here, not after twenty
SOON = "tcp_keepalives_idle=1 tcp_keepalives_interval=1 tcp_keepalives_count=1 tcp_user_timeout=2000"


@pytest.fixture
def stage():
    try:
        with Machines():
            pass
    except NoNamespaces as error:
        pytest.skip(f"network namespaces need root: {error}")
    with staged(users=4, bots_each=3, **FAST) as stage:
        stage.environ["WEBHOOK_PROCESSES"] = "1"
        yield stage


def sent(stage: Stage, side, actions):
    """Send each bot alerts in a row, each to the next server, and return the answers when all is done."""
    errand = Errand(
        servers=side.servers, series=[[seat.alert(action) for action in actions] for seat in stage.seats],
        connections=6, first_number=side.next_number,
    )  # fmt: skip
    side.next_number += len(stage.seats) * len(actions)
    before = side.finished()
    answers = send(errand)
    wait_for(lambda: side.finished() == before + len(answers), 60, lambda: judge(side.database, answers))
    return answers


def test_several_machines_trade_as_one_and_go_on_without_those_that_are_gone(stage):
    side = stage.side("many", webs=2, workers=3)
    answers = sent(stage, side, IN_A_ROW)
    assert all(answer.status == 202 for answer in answers)

    # A machine that holds a lane is cut off: PostgreSQL alone can tell that it will not come back
    held = next(row["lane_id"] for row in signals_of(side.database) if row["id"] == answers[0].signal_id)
    silent = stage.machines.machine()
    options = "%20".join(f"-c%20{each.replace('=', '%3D')}" for each in SOON.split())
    with inside(silent):
        elsewhere = Database(stage.url("many") + f"?options={options}")
        holding = lanes.hold_lane(elsewhere, held)
        assert holding.__enter__() is not None
    stage.machines.cut(silent)
    with closing(elsewhere):
        answers += sent(stage, side, ("close",))

    # A server and a worker are killed, another worker is cut off
    side.webs[0].popen.kill()
    side.workers[0].popen.kill()
    stage.machines.cut(side.workers[1].machine)
    answers += sent(stage, side, ("buy", "close"))
    verdict = judge(side.database, answers)
    assert (verdict.taken, verdict.is_clean) == (len(answers), True), verdict
