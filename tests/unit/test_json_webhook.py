"""URLs of one's own: which are taken, what is shown of them, and what is sent there."""

import datetime as dt
import json

import pytest

from alerts.json_webhook import Address, JsonWebhook, checked_url, shown_url, signature
from alerts.transport import InvalidAddress
from core.addresses import networks
from core.alert import Alert, Tone

AT = dt.datetime(2026, 11, 21, 10, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (" https://example.com ", "https://example.com"),
        ("HTTPS://Example.COM:443/A?b=c#d", "https://example.com/A?b=c"),
        ("http://example.com:8080/x", "http://example.com:8080/x"),
        ("https://bücher.example/ü?q=ü", "https://xn--bcher-kva.example/%C3%BC?q=%C3%BC"),
        ("https://example.com/a%20b/%2F", "https://example.com/a%20b/%2F"),
        ("https://[2606:4700::1111]:8443/x", "https://[2606:4700::1111]:8443/x"),
        ("https://my_host.example./x", "https://my_host.example./x"),
    ],
)
def test_urls_that_are_taken(text: str, kept: str) -> None:
    assert checked_url(text) == kept
    assert checked_url(kept) == kept


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Enter the URL"),
        ("example.com/x", "begin with https"),
        ("ftp://example.com", "begin with https"),
        ("file:///etc/passwd", "begin with https"),
        ("https://", "valid host"),
        ("https://user:pass@example.com", "user name"),
        ("https://example.com@127.0.0.1/", "user name"),
        ("https://example.com\\@127.0.0.1/", "backslashes"),
        ("https://exa mple.com/", "spaces"),
        ("https://example.com/\r\nX-Evil: 1", "spaces"),
        ("https://example.com/\x00", "cannot be seen"),
        ("https://example.com:99999/", "valid host and port"),
        ("https://example.com:abc/", "valid host and port"),
        ("https://example.com:25/", "port must be"),
        ("https://example.com:22/", "port must be"),
        ("https://%31%32%37.0.0.1/", "valid host"),
        ("https://[fe80::1%25eth0]/", "valid host"),
        ("https://[::1", "valid host"),
        ("https://ex<am>ple.com/", "valid host"),
        ("https://" + "ü" * 80 + ".example/", "valid host"),
        ("https://example.com/" + "x" * 2000, "longer than"),
    ],
)
def test_urls_that_are_not(text: str, words: str) -> None:
    with pytest.raises(InvalidAddress) as refused:
        checked_url(text)
    assert words in str(refused.value)
    assert "user:pass" not in str(refused.value)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "017700000001", "[::1]", "[::ffff:7f00:1]",
             "0", "169.254.169.254", "[::]", "10.0.0.1", "１２７.０.０.１"],
)  # fmt: skip
def test_no_way_to_write_a_private_host_is_taken(host: str) -> None:
    with pytest.raises(InvalidAddress):
        JsonWebhook().checked_address(f"http://{host}:8080/")


def test_an_address_holds_a_secret_of_its_own_that_only_its_text_shows() -> None:
    transport = JsonWebhook(allowed=networks(("127.0.0.0/8",)))
    first, second = (transport.checked_address("http://127.0.0.1:8080/path?key=1") for _ in range(2))
    kept = Address.of(first)
    assert kept.url == "http://127.0.0.1:8080/path?key=1"
    assert kept.secret.startswith("whsec_")
    assert len(kept.secret) > 40
    assert kept.secret != Address.of(second).secret
    assert Address.of(kept.text()) == kept
    assert transport.shown(first) == "http://127.0.0.1:8080/…"
    assert kept.secret not in repr(kept)
    assert "path" not in repr(kept)
    assert shown_url("https://user:pass@example.com/x") == "https://example.com/…"


def test_the_signature_is_what_the_documentation_says() -> None:
    expected = "fe4123ae49f9ceaaa6e94343830c78e13a1363fc1e14b9260a5e8e412bb84383"
    # printf '1795255200.{"a":1}' | openssl dgst -sha256 -hmac whsec_x
    assert signature("whsec_x", b'{"a":1}', AT) == f"t=1795255200,v1={expected}"


def test_an_alert_is_told_in_words_and_in_figures() -> None:
    message = JsonWebhook().render(
        [
            Alert(
                kind="K",
                title="**T** @here\x00",
                tone=Tone.BAD,
                at=AT,
                data={"a": ["x\x00", {"b\ud800": None}], "n": 1},
            )
        ]
    )
    assert message == {
        "alerts": [
            {
                "kind": "K",
                "title": "**T** @here",
                "tone": "BAD",
                "text": "",
                "fields": [],
                "footer": "",
                "at": "2026-11-21T10:00:00+00:00",
                "data": {"a": ["x", {"b": None}], "n": 1},
            }
        ]
    }
    json.dumps(message, ensure_ascii=False).encode()
