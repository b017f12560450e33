"""The audit of the requirements, with the real pip-audit against a local service that speaks as OSV does."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.audit import FINE, NOT_REACHED, VULNERABLE, audit
from tests.local_server import LocalServer, answer_json

PINNED = "flask==3.0.0 --hash=sha256:" + "0" * 64 + "\nsix==1.16.0 --hash=sha256:" + "1" * 64 + "\n"
KNOWN = {
    "id": "PYSEC-2099-1", "aliases": ["CVE-2099-1"], "summary": "Sessions of others can be read.",
    "affected": [{
        "package": {"name": "flask", "ecosystem": "PyPI"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.0.9"}]}],
    }],
}  # fmt: skip


@pytest.fixture
def pinned(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.txt"
    path.write_text(PINNED)
    return path


@contextmanager
def osv(vulnerable: str | None) -> Iterator[tuple[str, ...]]:
    """Run a service that knows of one package's vulnerability, or of none; give how it is asked."""

    async def query(request: web.Request) -> web.Response:
        asked = json.loads(await request.read())
        return answer_json({"vulns": [KNOWN]} if asked["package"]["name"] == vulnerable else {})

    app = web.Application()
    app.router.add_post("/v1/query", query)
    with closing(LocalServer(app)) as server:
        yield ("--vulnerability-service", "osv", "--osv-url", f"{server.url}/v1/query")


def test_a_known_vulnerability_is_named_with_its_mend(
    pinned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with osv("flask") as service:
        assert audit(pinned, [service]) == VULNERABLE
    said = capsys.readouterr().out
    assert "flask 3.0.0: PYSEC-2099-1, CVE-2099-1, mended in 3.0.9. Sessions of others" in said
    assert "2 packages were audited, 1 known" in said


def test_where_nobody_can_be_asked_it_says_so_and_where_one_can_it_asks_that(
    pinned: Path, free_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = ("--vulnerability-service", "osv", "--osv-url", f"http://127.0.0.1:{free_port}/v1/query")
    assert audit(pinned, [nobody]) == NOT_REACHED
    assert "NOT audited" in capsys.readouterr().out
    with osv(None) as service:
        assert audit(pinned, [nobody, service]) == FINE
    assert "2 packages were audited, 0 known" in capsys.readouterr().out
