"""Requests go to public addresses only, whatever form a private one takes."""

import pytest

from alerts.public_address import NotPublic, is_public, only_public
from core.addresses import networks

PUBLIC = ("8.8.8.8", "93.184.215.14", "100.63.255.255", "100.128.0.0", "172.32.0.1", "2606:4700::1111",
          "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808")  # fmt: skip
CLOSED = (
    "0.0.0.0",  # noqa: S104  it is refused here
    "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "100.100.100.200", "127.0.0.1", "127.255.1.2",
    "168.63.129.16", "169.254.169.254", "169.254.0.1", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1",
    "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:7f00:1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:7f00:1::1", "2001:10::1",
    "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1", "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1",
    "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "4000::1",
    "", "nonsense", "127.1", "0x7f000001", "2130706433", "010.0.0.1",
)  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", CLOSED)
def test_closed(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "fd00::5"])
def test_an_operator_opens_a_network(address: str) -> None:
    allowed = networks(("10.1.0.0/16", "fd00::/64"))
    assert is_public(address, allowed)
    assert not is_public("10.2.0.1", allowed)
    assert not is_public("fd00:0:0:1::5", allowed)


def test_one_closed_address_closes_the_host() -> None:
    assert only_public(("8.8.8.8", "2606:4700::1111")) == ("8.8.8.8", "2606:4700::1111")
    for addresses in (("8.8.8.8", "127.0.0.1"), ("::1", "8.8.8.8"), ()):
        with pytest.raises(NotPublic) as refused:
            only_public(addresses)
        assert "127" not in str(refused.value)
