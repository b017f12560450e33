"""Describe the API for people: `GET /docs`, one page made of `/openapi.json`, without scripts or anything fetched."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from flask import Response
from markupsafe import Markup, escape

from webhook.openapi import document
from webhook.services import services

SAFE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882;--accent:#0b7a5c}
@media(prefers-color-scheme:dark){:root{--accent:#4cc9a0}}
body{font:16px/1.55 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.8rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin:0}h3{font-size:.95rem;margin:1rem 0 .3rem}
code,pre{font:.88em/1.5 ui-monospace,monospace}pre{background:var(--soft);padding:.7rem;overflow-x:auto}
section{border:1px solid var(--line);border-radius:.5rem;padding:1rem;margin:1rem 0;scroll-margin-top:1rem}
table{border-collapse:collapse;width:100%;font-size:.92rem}
td,th{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line)}
th{font-weight:600}.wide{overflow-x:auto}nav a{display:block;padding:.1rem 0}
a{color:var(--accent)}.method{color:var(--accent);font-weight:700;text-transform:uppercase}
summary{cursor:pointer;padding:.3rem 0}.quiet{opacity:.75}
"""
_CODE = re.compile(r"`([^`]+)`")
EXAMPLE = '{"action": "buy", "symbol": "AAPL", "timeframe": "15", "test": true}'


def docs() -> Response:
    """Answer with the page."""
    page = _page(services().settings.public_url)
    return Response(page, headers=SAFE, content_type="text/html; charset=utf-8")


@cache
def _page(address: str) -> str:
    described = document(address)
    info = described["info"]
    operations = [
        (path, method, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    return Markup(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style>'
        "<h1>{title}</h1><p>{words}</p>"
        '<p class="quiet">Version {version}. For programs: <a href="openapi.json">openapi.json</a></p>'
        "<nav>{index}</nav>{sections}<h1>Types</h1>{types}</html>"
    ).format(
        title=f"{info['title']} API",
        style=Markup(STYLE),  # noqa: S704  our own words
        words=info["description"],
        version=info["version"],
        index=_joined(_link(path, method, operation) for path, method, operation in operations),
        sections=_joined(_section(address, path, method, each) for path, method, each in operations),
        types=_joined(_type(name, schema) for name, schema in described["components"]["schemas"].items()),
    )


def _joined(parts: Iterator[Markup]) -> Markup:
    return Markup().join(parts)


def _link(path: str, method: str, operation: Mapping[str, Any]) -> Markup:
    return Markup(
        '<a href="#{id}"><span class="method">{method}</span> <code>{path}</code> {words}</a>'
    ).format(id=operation["operationId"], method=method, path=path, words=operation["summary"])


def _section(address: str, path: str, method: str, operation: Mapping[str, Any]) -> Markup:
    return Markup(
        '<section id="{id}"><h2><span class="method">{method}</span> <code>{path}</code></h2>'
        "<p><strong>{words}.</strong> {more}</p>{access}{parameters}{body}{answers}<h3>Try it</h3><pre>{line}</pre>"
        "</section>"
    ).format(
        id=operation["operationId"], method=method, path=path, words=operation["summary"],
        more=_said(operation.get("description", "")), access=_access(operation), parameters=_parameters(operation),
        body=_body(operation), answers=_answers(operation), line=_curl(address, path, method, operation),
    )  # fmt: skip


def _said(text: str) -> Markup:
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704  escaped


def _access(operation: Mapping[str, Any]) -> Markup:
    given = {
        "token": "?token=… of a user",
        "serviceKey": "X-API-Key of a service",
        "metricsKey": "Bearer METRICS_KEY",
    }
    names = [given[name] for each in operation["security"] for name in each]
    return Markup("<p>With {}.</p>").format(" or ".join(names)) if names else Markup()


def _parameters(operation: Mapping[str, Any]) -> Markup:
    rows = _joined(
        Markup("<tr><td><code>{}</code><td>{}<td>{}").format(each["name"], each["in"], each["description"])
        for each in operation["parameters"]
    )
    return _table("Parameters", rows) if rows else Markup()


def _table(title: str, rows: Markup) -> Markup:
    return Markup('<h3>{}</h3><div class="wide"><table>{}</table></div>').format(title, rows)


def _body(operation: Mapping[str, Any]) -> Markup:
    if "requestBody" not in operation:
        return Markup()
    content = operation["requestBody"]["content"]
    return Markup("<h3>Body</h3><p>{}, as {}</p>").format(
        _types(content["application/json"]["schema"]), " or ".join(content)
    )


def _answers(operation: Mapping[str, Any]) -> Markup:
    rows = _joined(
        Markup("<tr><th>{}<td>{}<td>{}").format(
            status, _said(answer["description"]), _types(_schema_of(answer))
        )
        for status, answer in operation["responses"].items()
    )
    return _table("Answers", rows)


def _schema_of(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((each.get("schema", {}) for each in answer.get("content", {}).values()), {})


def _types(schema: Mapping[str, Any]) -> Markup:
    """Say a schema in a few words, with a link to every type of ours."""
    if "$ref" in schema:
        return Markup('<a href="#{name}">{name}</a>').format(name=schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return Markup(" or ").join(_types(each) for each in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return Markup(", ").join(str(each) for each in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "anything" if schema else "")
    if kind == "array" and "items" in schema:
        return Markup("list of {}").format(_types(schema["items"]))
    if kind == "object" and schema.get("additionalProperties") not in (None, True, False):
        return Markup("names with {}").format(_types(schema["additionalProperties"]))
    return Markup("{}").format(schema.get("format", kind))


def _type(name: str, schema: Mapping[str, Any]) -> Markup:
    rows = _joined(
        Markup("<tr><td><code>{}</code><td>{}<td>{}").format(
            field, _types(each), _said(each.get("description", ""))
        )
        for field, each in schema.get("properties", {}).items()
    )
    also = (
        Markup(" Beside all of {}.").format(_types(schema["allOf"][0]))
        if "$ref" in str(schema.get("allOf"))
        else ""
    )
    return Markup('<section id="{id}"><h2>{id}</h2><p>{words}{also}</p><div class="wide"><table>{rows}</table></div>'
                  "</section>").format(id=name, words=schema.get("description", ""), also=also, rows=rows)  # fmt: skip


def _curl(address: str, path: str, method: str, operation: Mapping[str, Any]) -> str:
    names = {name for each in operation["security"] for name in each}
    query = "?token=usr_…" if "token" in names else ""
    line = f"curl '{address}{path}{query}'"
    if names & {"serviceKey"} and not query:
        line += " -H 'X-API-Key: …'"
    if method == "post":
        line += f" \\\n     -H 'Content-Type: application/json' -d '{EXAMPLE}'"
    return line
