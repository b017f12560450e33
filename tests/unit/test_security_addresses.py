"""Addresses as attackers write them: what counts as one sender, and what is this machine itself."""

import subprocess
import sys
from pathlib import Path

import pytest

import settings
from alerts.public_address import NotPublic, is_own, only_public
from core.addresses import address_behind, counted_as, networks
from settings import SettingsError

ROOT = Path(__file__).resolve().parents[2]
PROXIES = networks(("127.0.0.1/32", "10.0.0.0/8", "fd00::/8"))
# A machine whose own address is public, as on most servers; nothing leaves the namespace.
ON_A_SERVER = """
ip link set lo up && ip addr add 8.8.4.4/32 dev lo && ip addr add 2606:4700::4/128 dev lo && exec "$0" -c "
from alerts.public_address import is_own
print(is_own('8.8.4.4'), is_own('2606:4700::4'), is_own('8.8.8.8'))"
"""


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
    ],
)
def test_one_sender_is_counted_as_one(address: str, counted: str) -> None:
    assert counted_as(address) == counted


@pytest.mark.parametrize(
    ("peer", "forwarded", "sender"),
    [
        # Only the last address that is no proxy of ours counts, in however many headers it comes
        ("127.0.0.1", ["6.6.6.6", "198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["6.6.6.6,127.0.0.1,198.51.100.1,10.1.1.1"], "198.51.100.1"),
        ("::ffff:10.0.0.9", ["6.6.6.6, ::ffff:198.51.100.1"], "::ffff:198.51.100.1"),
        ("fd00::9", ["2001:db8::1"], "2001:db8::1"),
        # What is no address is nobody's: the proxy itself counts
        ("127.0.0.1", ["198.51.100.1:4711"], "127.0.0.1"),
        ("127.0.0.1", ["for=198.51.100.1"], "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.1, "], "127.0.0.1"),
        # Somebody who is no proxy says nothing of others
        ("203.0.113.9", ["127.0.0.1"], "203.0.113.9"),
        ("::ffff:203.0.113.9", ["127.0.0.1", "10.0.0.1"], "::ffff:203.0.113.9"),
    ],
)
def test_who_sent_is_the_last_that_no_proxy_of_ours_is(peer: str, forwarded: list[str], sender: str) -> None:
    assert address_behind(peer, forwarded, PROXIES) == sender


@pytest.mark.parametrize("value", ["*", "0.0.0.0/0", "127.0.0.1,10.0.0.1"])
def test_no_variable_of_the_http_server_makes_it_believe_senders(value: str) -> None:
    """Some hosts set it to `*`: uvicorn then takes the first address of X-Forwarded-For, whoever wrote it."""
    with pytest.raises(SettingsError, match=r"FORWARDED_ALLOW_IPS.*TRUSTED_PROXIES"):
        settings.refuse_to_believe_senders({"FORWARDED_ALLOW_IPS": value})
    settings.refuse_to_believe_senders({"FORWARDED_ALLOW_IPS": ""})
    settings.refuse_to_believe_senders({})


def test_this_machine_is_asked_by_no_name_of_its() -> None:
    assert is_own("127.0.0.1")
    assert not is_own("192.0.2.1")
    assert not is_own("nonsense")
    assert only_public(("127.0.0.1",), networks(("127.0.0.0/8",))) == ("127.0.0.1",)
    with pytest.raises(NotPublic, match="this machine"):
        only_public(("127.0.0.1",))


def test_a_public_address_of_this_machine_is_its_own() -> None:
    command = ["unshare", "--user", "--map-root-user", "--net", "sh", "-ec", ON_A_SERVER, sys.executable]
    try:
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare here")
    if ran.returncode:
        pytest.skip(f"no network namespace can be made here: {ran.stderr[-200:]}")
    assert ran.stdout.split() == ["True", "True", "False"]
