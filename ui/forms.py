"""Draw the plain pages around signing in; they work without a script."""

from dataclasses import dataclass
from html import escape
from pathlib import Path

from starlette.responses import HTMLResponse

# The colours of .streamlit/config.toml, which these pages cannot read.
STYLE = """
:root { color-scheme: light dark; --page: #f3f5f8; --card: #fff; --text: #1c2530; --soft: #566373;
        --line: #c3cbd6; --accent: #2f5bd0; --link: #244aa8; --bad: #a32a10; --bad-back: #fdeeea; }
@media (prefers-color-scheme: dark) {
  :root { --page: #10151c; --card: #1a222c; --text: #e3e8ee; --soft: #a9b4c0; --line: #3c4857;
          --accent: #4b78e3; --link: #9dbbff; --bad: #ff9a80; --bad-back: #3a1e19; }
}
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-content: center; justify-items: center; gap: 1.5rem;
       grid-template-columns: minmax(0, 25rem); padding: 1.5rem 1rem; background: var(--page);
       color: var(--text); font: 16px/1.5 "Source Sans Pro", "Source Sans 3", system-ui, sans-serif; }
main { width: 100%; background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 2rem; }
h1 { font-size: 1.35rem; line-height: 1.3; margin: 0 0 .5rem; }
p { margin: 0 0 1rem; }
label { display: block; margin: 1rem 0 .3rem; font-weight: 600; font-size: .9375rem; }
input { width: 100%; padding: .6rem .7rem; font: inherit; color: inherit; background: var(--page);
        border: 1px solid var(--line); border-radius: 8px; }
button { width: 100%; margin-top: 1.5rem; padding: .7rem; font: inherit; font-weight: 600; border: 0;
         border-radius: 8px; background: var(--accent); color: #fff; cursor: pointer; }
button:hover { filter: brightness(1.1); }
input:focus-visible, button:focus-visible, a:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.bad { background: var(--bad-back); color: var(--bad); border-radius: 8px; padding: .6rem .8rem; }
.hint { font-size: .875rem; color: var(--soft); margin: .3rem 0 0; }
.links { font-size: .9375rem; margin: 1.25rem 0 0; text-align: center; }
a { color: var(--link); }
"""
LOGO = Path(__file__).with_name("logo.svg").read_text()
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
        first = next((field for field in fields if field.kind != "hidden" and not field.value), None)
        inputs = "".join(_input(field, focus=field is first) for field in fields)
        parts.append(
            f'<form method="post" action="{escape(action)}">{inputs}<button>{escape(button)}</button></form>'
        )
    parts += [f'<p class="links"><a href="{escape(url)}">{escape(text)}</a></p>' for text, url in links]
    return HTMLResponse(_document(title, "".join(parts)), status_code=status, headers=SAFE)


def _document(title: str, content: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} · DashTrade</title><style>{STYLE}</style></head>"
        f"<body>{LOGO}<main>{content}</main></body></html>"
    )


def _input(field: Field, *, focus: bool) -> str:
    name, kind = escape(field.name), escape(field.kind)
    value = f' value="{escape(field.value)}"' if field.value else ""
    if field.kind == "hidden":
        return f'<input type="hidden" name="{name}"{value}>'
    digits = (' inputmode="numeric"' if field.digits else "") + (" autofocus" if focus else "")
    hint = f'<p class="hint">{escape(field.hint)}</p>' if field.hint else ""
    return (
        f'<label for="{name}">{escape(field.label)}</label><input id="{name}" name="{name}" type="{kind}"'
        f' autocomplete="{escape(field.fills)}"{value}{digits} required maxlength="1000">{hint}'
    )
