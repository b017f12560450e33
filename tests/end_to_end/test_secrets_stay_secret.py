"""Everything runs at its most talkative while much goes wrong: no secret is in a log, an answer or a column."""

import json
import secrets as random_secrets
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest
import requests
from pydantic import SecretStr

from alerts.kinds import KINDS
from alerts.registry import transports_for
from bot_database import Database, alert_channels
from encryption import Vault
from settings import Settings
from tests.blofin_server.local import running_server as running_blofin
from tests.chaos.discord import Discord, Receiver
from tests.chaos.parts import processes
from tests.discord_gateway import GUILD
from tests.discord_server.answers import Answer
from tests.end_to_end.stack import PASSWORD, Stack, Trader, alpaca_process, stack_in, wait_for
from tests.secret_search import Leak, leaks, texts_of

COOKIE = "dashtrade_session"
OURS = (
    "SIGNAL_API_KEY", "METRICS_KEY", "DISCORD_CLIENT_SECRET", "MQTT_PASSWORD", "ALPHA_VANTAGE_API_KEY",
    "ALPACA_DATA_KEY_ID", "ALPACA_DATA_SECRET_KEY",
)  # fmt: skip
PARTS = ("webhook", "worker", "broker watch", "mqtt listener", "discord bot", "reversal watch")
TOKEN_AT_BOT = (
    f"{random_secrets.token_hex(12)}.{random_secrets.token_hex(4)}.{random_secrets.token_urlsafe(24)}"
)


@dataclass(slots=True, kw_only=True)
class Scene:
    """A running DashTrade, every secret of it by name, and every body that it answered."""

    stack: Stack
    database: Database
    vault: Vault
    discord: Discord
    receiver: Receiver
    secrets: dict[str, str]
    bodies: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, port: str, path: str, **options: object) -> requests.Response:
        """Send a request to one of the two ports, and keep what came back, headers too."""
        url = f"http://127.0.0.1:{self.stack.environ[port]}{path}"
        answer = requests.request(method, url, timeout=40, allow_redirects=False, **options)
        name = f"the answer {len(self.bodies)}, {answer.status_code} to {method} {urlsplit(path).path[:20]}"
        given = {key: value for key, value in answer.headers.items() if key.lower() != "set-cookie"}
        self.bodies[name] = f"{given}\n{answer.text}"
        return answer


@contextmanager
def running(folder: Path) -> Iterator[Scene]:
    """Run every part at DEBUG, beside local brokers and a local Discord."""
    given = {name: f"{random_secrets.token_urlsafe(12)}/+{random_secrets.token_hex(12)}" for name in OURS}
    with ExitStack() as outside:
        broker = outside.enter_context(alpaca_process(folder))
        blofin = outside.enter_context(running_blofin("demo"))
        discord = outside.enter_context(closing(Discord(TOKEN_AT_BOT)))
        outside.enter_context(discord.webhooks)
        receiver = outside.enter_context(Receiver())
        settings = given | {
            "LOG_LEVEL": "DEBUG", "BLOFIN_BASE_URL": blofin.url, "MQTT_USERNAME": "dashtrade",
            "DISCORD_BASE_URL": discord.line.url, "DISCORD_BOT_TOKEN": TOKEN_AT_BOT, "DISCORD_GUILD_ID": GUILD,
            "DISCORD_CLIENT_ID": "77", "DISCORD_WEBHOOK_URL": discord.url_of("1"), "WEBHOOK_PROCESSES": 1,
            "ALERT_WEBHOOK_NETWORKS": "127.0.0.0/8", "RISK_INTERVAL_SECONDS": 2, "RECONCILE_INTERVAL_SECONDS": 3,
            "BROKER_READ_TIMEOUT_SECONDS": 3,
        }  # fmt: skip
        stack = outside.enter_context(stack_in(folder, broker, **settings))
        blofin.account(
            "key-of-blofin-0123456789", "secret-of-blofin-0123456789", "phrase of blofin 0123", balance=1000
        )
        home = Path(stack.environ["DASHTRADE_HOME"])
        kept = {name: (home / name).read_text().strip() for name in ("ENCRYPTION_KEY", "DATABASE_URL")}
        database = outside.enter_context(closing(Database(kept["DATABASE_URL"])))
        yield Scene(
            stack=stack, database=database, vault=Vault(SecretStr(kept["ENCRYPTION_KEY"])), discord=discord,
            receiver=receiver,
            secrets=given | {
                "the encryption key": kept["ENCRYPTION_KEY"], "the bot's token": TOKEN_AT_BOT,
                "the database's password": str(urlsplit(kept["DATABASE_URL"]).password),
                "the operator's webhook": discord.url_of("1").rpartition("/")[2],
            },
        )  # fmt: skip


def people(scene: Scene) -> Trader:
    """Make a user with accounts, keys that the broker refuses too, and addresses that alerts go to."""
    sign_up(scene)
    ann = Trader(scene.stack, "ann@example.com")
    ann.bot("NVDA", "15", ann.connect_alpaca("one", 0))
    keys = {
        "api_key": "key-of-blofin-0123456789", "api_secret": "secret-of-blofin-0123456789",
        "passphrase": "phrase of blofin 0123",
    }  # fmt: skip
    scene.stack.manage("connect", ann.email, "blofin", "--mode", "demo", given=json.dumps(keys))
    wrong = {"api_key": "PKWRONGKEY0123456789", "api_secret": "a wrong secret 0123456789"}
    done = scene.stack.run_manage("connect", ann.email, "alpaca", "--label", "x", given=json.dumps(wrong))
    scene.bodies["connecting with wrong keys"] = done.stdout + done.stderr
    scene.secrets |= {
        "the webhook token": ann.token,
        "Alpaca's secret": "secret of PKANNONE",
        "Alpaca's wrong secret": wrong["api_secret"],
        **{f"BloFin's {name}": value for name, value in keys.items() if name != "api_key"},
    }
    addresses(scene, ann)
    return ann


def addresses(scene: Scene, ann: Trader) -> None:
    """Give the user a Discord webhook and one of their own, with a secret in its path."""
    transports = transports_for(Settings.model_validate({
        "database_url": scene.database.url, "public_url": "http://localhost:8080",
        "discord_base_url": scene.discord.line.url, "alert_webhook_networks": "127.0.0.0/8",
    }))  # fmt: skip
    in_path = random_secrets.token_urlsafe(24)
    given = {
        "DISCORD": scene.discord.url_of("22"),
        "WEBHOOK": f"{scene.receiver.base}/hook/{in_path}?key={in_path}",
    }
    with scene.database.transaction() as transaction:
        for name, address in given.items():
            checked = transports[name].checked_address(address)
            shown = transports[name].shown(checked)
            alert_channels.keep_channel(transaction, scene.vault, ann.id, name, checked, shown)
            if name == "WEBHOOK":
                scene.secrets["the secret that signs"] = json.loads(checked)["secret"]
        alert_channels.set_wishes(transaction, ann.id, {str(kind): "ON" for kind in KINDS})
    scene.secrets |= {"the user's Discord webhook": given["DISCORD"].rpartition("/")[2], "the path": in_path}
    scene.discord.fail([22, 1], [Answer.saying(500, {"message": "no"})] * 2 + [Answer.invalid_token()])


def sign_up(scene: Scene) -> None:
    """Make the first account with the code that was printed, sign in well and badly, and ask for a new password."""
    line = next(line for line in scene.stack.log.read_text().splitlines() if "Sign-up code" in line)
    scene.secrets["the sign-up code"] = line.rpartition(" ")[2]
    origin = {"Origin": f"http://127.0.0.1:{scene.stack.environ['DASHBOARD_PORT']}"}

    def form(path: str, **fields: str) -> requests.Response:
        return scene.ask("POST", "DASHBOARD_PORT", path, data=fields, headers=origin)

    both = {
        "email": "boss@example.com",
        "password": "a password of the boss",
        "again": "a password of the boss",
    }
    assert form("/auth/signup", **both, code="a guessed code").status_code == 400
    assert form("/auth/signup", **both, code=scene.secrets["the sign-up code"]).status_code == 303
    assert form("/auth/login", email=both["email"], password="a wrong password 99").status_code == 401
    session = form("/auth/login", email=both["email"], password=both["password"]).cookies[COOKIE]
    scene.ask("GET", "DASHBOARD_PORT", "/nothing/here", cookies={COOKIE: session})
    link = scene.stack.manage("user", "reset", both["email"])
    secret_of_link = next(iter(parse_qs(urlsplit(link).query).values()))[0]
    # Its form holds it, for whoever came with it; the log must not
    assert requests.get(link, timeout=40).status_code == 200
    scene.secrets |= {
        "the session": session, "the boss's password": both["password"], "a wrong password": "a wrong password 99",
        "the user's password": PASSWORD, "the link to a new password": secret_of_link,
    }  # fmt: skip


def knock(scene: Scene, ann: Trader) -> None:
    """Send alerts and requests of every kind that is refused, at both ports, each with secrets about it."""
    body = ann.message("buy", "NVDA", "15")
    as_json = {"Content-Type": "application/json"}
    key = scene.secrets["SIGNAL_API_KEY"]
    for port in ("WEBHOOK_PORT", "DASHBOARD_PORT"):
        for path in (
            f"/webhook?token={ann.token}",
            f"/webhook/{ann.token}",
            f"/test-webhook?token={ann.token}",
        ):
            for content in (body, b"{" + body, b"x" * 70_000):
                scene.ask("POST", port, path, data=content, headers=as_json)
        scene.ask("GET", port, f"/webhook/{ann.token}")
        scene.ask("POST", port, f"/webhook/{ann.token}/{ann.token}", data=body)
        scene.ask("GET", port, f"/user/{ann.id}/nothing?token={ann.token}")
        scene.ask("POST", port, "/webhook", data=body, params={"token": scene.secrets["the encryption key"]})
        for header in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}, {"X-API-Key": key + "x"}):
            scene.ask(
                "POST", port, "/api/v1/signals", json={"channel": "1", "text": f"buy {key}"}, headers=header
            )
        scene.ask("GET", port, f"/discord/callback?code={ann.token}&state={scene.secrets['the session']}")
        scene.ask(
            "GET", port, "/metrics", headers={"Authorization": "Bearer " + scene.secrets["METRICS_KEY"]}
        )


def fail_everywhere(scene: Scene, ann: Trader) -> None:
    """Let the broker refuse the keys, Discord drop the bot, and the database crash under requests."""
    scene.stack.broker.fault("answer_before", method="*", path="*", status=401, count=4)
    ann.alert("buy", "NVDA", "15")
    scene.stack.broker.fault("drop_before", method="*", path="*", count=4)
    ann.alert("sell", "NVDA", "15")
    scene.stack.broker.clear_faults()
    wait_for(lambda: _told(scene), 60, scene.stack.written)
    assert scene.stack.process is not None
    for process in processes(scene.stack.process.pid, "database"):
        process.send_signal(3)
    knock(scene, ann)
    wait_for(lambda: scene.stack.get("/health").status == 200, 60, scene.stack.written)
    for part in ("watch", "worker", "discord"):
        for process in processes(scene.stack.process.pid, part):
            process.send_signal(15)
    wait_for(lambda: _all_beat(scene), 60, scene.stack.written)


def _told(scene: Scene) -> bool:
    """Tell whether the user's two addresses were asked to take an alert."""
    asked = [scene.discord.webhooks.asked(22), scene.receiver.asked(f"/hook/{scene.secrets['the path']}")]
    return all(asked)


def _all_beat(scene: Scene) -> bool:
    assert scene.stack.process is not None
    running = [processes(scene.stack.process.pid, part) for part in ("watch", "worker", "discord")]
    return all(each and each[0].status() != psutil.STATUS_ZOMBIE for each in running) and bool(
        scene.discord.gateway.is_joined and scene.stack.get("/health").status == 200
    )


def _silent_parts(scene: Scene) -> list[str]:
    log = scene.stack.log.read_text(errors="replace")
    return [part for part in PARTS if f" {part} signal=" not in log]


def found(scene: Scene, log: str) -> list[Leak]:
    """Return every leak in the log, in the answers and in the columns of the database."""
    printed = scene.secrets["the sign-up code"]
    # Printed for the operator, once, and worth nothing from the first account on
    log = "\n".join(line for line in log.splitlines() if not line.endswith(f"admin's: {printed}"))
    places = {"the log": log, **scene.bodies}
    with scene.database.transaction() as transaction:
        places |= {f"column {name}": text for name, text in texts_of(transaction)}
    return [leak for place, text in places.items() for leak in leaks(place, text, scene.secrets)]


@pytest.mark.slow
def test_no_secret_is_in_a_log_an_answer_or_a_column() -> None:
    with TemporaryDirectory(prefix="dashtrade-secrets-") as folder, running(Path(folder)) as scene:
        ann = people(scene)
        knock(scene, ann)
        fail_everywhere(scene, ann)
        knock(scene, ann)
        # It would show nothing if they had not spoken, or nothing had gone wrong
        wait_for(lambda: not _silent_parts(scene), 60, scene.stack.written)
        log = scene.stack.log.read_text(errors="replace")
        assert found(scene, log) == []
        assert {" DEBUG ", " WARNING ", " ERROR "} <= {f" {word} " for word in log.split()}
        planted = {name: f"{log}\nit is {secret}" for name, secret in scene.secrets.items()}
        assert [name for name, text in planted.items() if not leaks("planted", text, scene.secrets)] == []
