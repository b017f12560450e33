"""Parts that several pages draw in the same way: tables, charts, and going through pages of rows."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from streamlit.elements.lib.layout_utils import Width

from database.history import Key, Page
from database.pool import Row

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

# What stands in these columns is read by its digits, so it is aligned to them.
NUMBERS = frozenset(
    {
        *(
            "Quantity",
            "Filled",
            "Entry",
            "Now",
            "Price",
            "Unrealized P&L",
            "P&L",
            "Fees",
            "Slippage",
            "Stop",
            "Target",
        ),
        *("Threshold", "Actual", "Trades", "Win rate", "Profit factor", "Best", "Worst"),
        *("Exit", "P&L %", "Held for", "Bytes", "Leverage", "Margin", "Liquidation"),
    }
)
# Written with an arrow before the sign
GAINS = frozenset({"P&L", "Unrealized P&L", "Best", "Worst", "Slippage"})
# The text colours of gains and losses in .streamlit/config.toml, which tables do not read.
COLOURS = {"light": ("#03694f", "#a32a10"), "dark": ("#4fd3ae", "#ff9a80")}
# Two beside each other on a phone
FACT_WIDTH, FACT_GAP = 150, 16
ROW_HEIGHT, HIGHEST_TABLE = 35, 640


def facts(*pairs: tuple[str, str], across: int | None = None) -> None:
    """Draw figures beside each other, each under its name; they wrap after `across` or where the page is narrow."""
    width: Width = across * (FACT_WIDTH + FACT_GAP) if across else "stretch"
    with st.container(horizontal=True, gap="small", width=width):
        for name, value in pairs:
            st.markdown(f":gray[:small[{name}]]  \n**{value}**", width=FACT_WIDTH)


def table(frame: pd.DataFrame, nothing: str, *, key: str, wide: Collection[str] = ()) -> None:
    """Draw a table with its figures to the right, or `nothing` where it is empty; columns in `wide` have sentences."""
    if frame.empty:
        st.caption(nothing)
        return
    columns = {
        name: st.column_config.TextColumn(alignment="right") for name in frame.columns if name in NUMBERS
    } | {name: st.column_config.TextColumn(width="medium") for name in wide}
    height = min(ROW_HEIGHT * (len(frame) + 1) + 2, HIGHEST_TABLE)
    st.dataframe(
        coloured(frame),
        hide_index=True,
        width="stretch",
        height=height,
        row_height=ROW_HEIGHT,
        column_config=dict(columns or {}),
        key=key,
    )


def coloured(frame: pd.DataFrame) -> "Styler":
    """Return a table whose gains and losses have their colours beside their arrows."""
    gain, loss = COLOURS[st.context.theme.type or "light"]
    style = {"▲": f"color: {gain}", "▼": f"color: {loss}"}
    columns: list[Hashable] = [name for name in frame.columns if name in GAINS]
    return frame.style.map(lambda text: style.get(text[:1], ""), subset=columns)


def lead(words: str, icon: str, label: str, tab: str) -> None:
    """Say what is missing, with the button that opens the tab of 🤖 Trading Bot where it is made."""
    st.info(words, icon=icon)
    if st.button(label, icon=":material/arrow_forward:", on_click=_open_tab, args=(tab,)):
        st.rerun()


def _open_tab(tab: str) -> None:
    st.session_state["tab"] = tab


def chart(figure: go.Figure, *, key: str, words: str) -> None:
    """Draw a figure; `words` say what it shows to those who do not see it."""
    st.plotly_chart(figure, key=key, config={"displayModeBar": False, "scrollZoom": False}, alt=words)


def page_key(name: str, what: object) -> Key | None:
    """Return where the page to show begins, None for the newest; other filters (`what`) begin anew."""
    if f"{name} of" not in st.session_state or st.session_state[f"{name} of"] != what:
        st.session_state[f"{name} of"] = what
        st.session_state[f"{name} keys"] = []
    keys = st.session_state[f"{name} keys"]
    return keys[-1] if keys else None


def table_key(name: str, what: object) -> str:
    """Return the key of a table whose rows are chosen by a click; another one once what was chosen is closed."""
    return f"{name} table {what} {st.session_state.get(f'{name} closed', 0)}"


def held_still(name: str, key: str) -> int | None:
    """Return the newest row's id of a table in which a row is chosen, None where none is.

    The table must show nothing newer meanwhile: rows are chosen by their place.
    """
    event = st.session_state.get(key)
    chosen = event and (event["selection"]["rows"] or event["selection"]["cells"])
    newest: int | None = st.session_state.get(f"{name} newest") if chosen else None
    return newest


def clickable(
    frame: pd.DataFrame, *, key: str, highest: int = 700, columns: Mapping[str, Any] | None = None
) -> Any:
    """Draw a table of which one row can be clicked, in any of its cells; `columns` says how some are drawn."""
    return st.dataframe(
        frame,
        hide_index=True,
        width="stretch",
        height=min(38 + 35 * len(frame), highest),
        on_select="rerun",
        selection_mode=["single-row", "single-cell"],
        key=key,
        column_config=columns,
    )


def clicked(event: Any, rows: Sequence[Row]) -> Row | None:
    """Return the row of a table that was clicked, None where none was."""
    places = [*event.selection.rows, *(place for place, _column in event.selection.cells)]
    return next((rows[place] for place in places if place < len(rows)), None)


def chosen_row(name: str, event: Any, rows: Sequence[Row]) -> Row | None:
    """Return the row that was clicked in a table, with a button that lets go of it; call it at each drawing."""
    st.session_state[f"{name} newest"] = rows[0]["id"]
    row = clicked(event, rows)
    if row is None:
        return None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Close", key=f"{name} close", icon=":material/close:", on_click=_close, args=(name,))
        st.caption("The list stands still while this is open.")
    return row


def _close(name: str) -> None:
    st.session_state[f"{name} closed"] = st.session_state.get(f"{name} closed", 0) + 1


def page_buttons(name: str, page: Page, size: int) -> None:
    """Draw the buttons to newer and older rows, where there are any, and which rows these are."""
    keys: list[Key] = st.session_state[f"{name} keys"]
    if not keys and page.older is None:
        return
    first = len(keys) * size + 1
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Newer",
            key=f"{name} newer",
            icon=":material/chevron_left:",
            disabled=not keys,
            on_click=_drop_last,
            args=(keys,),
        )
        st.button(
            "Older",
            key=f"{name} older",
            icon=":material/chevron_right:",
            icon_position="right",
            disabled=page.older is None,
            on_click=keys.append,
            args=(page.older,),
        )
        st.caption(f"{first:,} to {first + len(page.rows) - 1:,}, newest first")


def _drop_last(keys: list[Key]) -> None:
    if keys:
        keys.pop()
