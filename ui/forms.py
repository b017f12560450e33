"""Draw the plain pages around signing in; they work without a script."""

from dataclasses import dataclass
from html import escape

from starlette.responses import HTMLResponse

STYLE = """
:root { color-scheme: light dark; --line: #8886; --accent: #0b6bcb; --bad: #b3261e; }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem;
       font: 16px/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 24rem; border: 1px solid var(--line); border-radius: 12px; padding: 2rem; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; }
p { margin: 0 0 1rem; }
label { display: block; margin: 1rem 0 .25rem; font-weight: 600; }
input { width: 100%; padding: .6rem .7rem; font: inherit; border: 1px solid var(--line); border-radius: 8px; }
button { width: 100%; margin-top: 1.5rem; padding: .7rem; font: inherit; font-weight: 600; border: 0;
         border-radius: 8px; background: var(--accent); color: #fff; cursor: pointer; }
.bad { border-left: 4px solid var(--bad); padding-left: .75rem; }
.hint { font-size: .875rem; opacity: .8; margin: .25rem 0 0; }
a { color: var(--accent); }
@media (prefers-color-scheme: dark) { :root { --accent: #4c9aff; --bad: #ff8a80; } button { color: #00142b; } }
"""
SAFE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # A code in the address must not leave; "no-referrer" would take the Origin from our own forms.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One input; `kind` is the input's type, `fills` what a password manager puts there.

    `digits` asks a phone for its keys of numbers.
    """

    name: str
    label: str
    kind: str = "text"
    fills: str = "off"
    value: str = ""
    hint: str = ""
    digits: bool = False


def page(
    title: str,
    *,
    words: str = "",
    error: str = "",
    action: str = "",
    fields: tuple[Field, ...] = (),
    button: str = "",
    links: tuple[tuple[str, str], ...] = (),
    status: int = 200,
) -> HTMLResponse:
    """Return a page with at most one form; everything given is shown as text, never as markup."""
    parts = [f"<h1>{escape(title)}</h1>"]
    if words:
        parts.append(f"<p>{escape(words)}</p>")
    if error:
        parts.append(f'<p class="bad" role="alert">{escape(error)}</p>')
    if button:
        inputs = "".join(map(_input, fields))
        parts.append(
            f'<form method="post" action="{escape(action)}">{inputs}<button>{escape(button)}</button></form>'
        )
    parts += [f'<p class="hint"><a href="{escape(url)}">{escape(text)}</a></p>' for text, url in links]
    return HTMLResponse(_document(title, "".join(parts)), status_code=status, headers=SAFE)


def _document(title: str, content: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} · DashTrade</title><style>{STYLE}</style></head>"
        f"<body><main>{content}</main></body></html>"
    )


def _input(field: Field) -> str:
    name, kind = escape(field.name), escape(field.kind)
    value = f' value="{escape(field.value)}"' if field.value else ""
    if field.kind == "hidden":
        return f'<input type="hidden" name="{name}"{value}>'
    digits = ' inputmode="numeric" autofocus' if field.digits else ""
    hint = f'<p class="hint">{escape(field.hint)}</p>' if field.hint else ""
    return (
        f'<label for="{name}">{escape(field.label)}</label><input id="{name}" name="{name}" type="{kind}"'
        f' autocomplete="{escape(field.fills)}"{value}{digits} required maxlength="1000">{hint}'
    )
