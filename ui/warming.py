"""Load what pages need before anybody waits for it, and keep the collector of garbage from walking over it.

Streamlit collects garbage in full after every run of a script, and a page that stands open runs parts of its
script every few seconds. Each time that walked over all that the libraries hold, a tenth of a second of
processor time in which nobody else's page went on.
"""

import gc
import importlib

from ui.services import load_brokers

PAGES = (
    *("ui.first_run", "ui.overview", "ui.signal_pages.page", "ui.account_pages.page", "ui.admin.page"),
    *("ui.trading_bot.setup", "ui.trading_bot.my_bots", "ui.trading_bot.live_positions"),
    *("ui.trading_bot.trade_history", "ui.trading_bot.performance", "ui.trading_bot.risk_events"),
    "pyarrow",
)


def warm_up() -> None:
    """Load brokers, pages and plots, then set all of it apart: it lives as long as the dashboard."""
    load_brokers()
    for name in PAGES:
        importlib.import_module(name)
    _draw_once()
    gc.collect()
    gc.freeze()


def _draw_once() -> None:
    # Plotly takes a while itself, and loads a kind of plot when it is drawn first.
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, cols=1)
    for plot in (go.Scatter, go.Bar, go.Heatmap):
        figure.add_trace(plot(), row=1, col=1)
    figure.to_json()
