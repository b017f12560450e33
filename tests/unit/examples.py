"""Ready-made bots, connections and instruments that the tests of the core change to taste."""

from datetime import UTC, datetime
from decimal import Decimal

from core.bot import Bot, BotStatus, Connection, ConnectionStatus, SizeMode, TradingState
from core.instrument import AssetClass, Instrument

# A Thursday; New York is at 10:00, in session.
NOW = datetime(2025, 1, 2, 15, 0, tzinfo=UTC)

APPLE = Instrument(
    symbol="AAPL",
    asset_class=AssetClass.STOCK,
    shortable=True,
    quantity_step=Decimal("0.001"),
    minimum_notional=Decimal(1),
)
BITCOIN = Instrument(
    symbol="BTC/USD",
    asset_class=AssetClass.CRYPTO,
    price_steps=((Decimal(0), Decimal("0.01")),),
    quantity_step=Decimal("0.0001"),
    minimum_quantity=Decimal("0.001"),
    base_asset="BTC",
)
BOT = Bot(
    id=1,
    user_id=1,
    connection_id=1,
    lane_id=1,
    name="AAPL 15 Min",
    symbol="AAPL",
    timeframe="15 Min",
    source="tradingview",
    size_mode=SizeMode.NOTIONAL,
    position_size=Decimal(5000),
    max_position_size=None,
    risk_limit_percent=None,
    daily_loss_limit=None,
    stop_loss_percent=None,
    take_profit_percent=None,
    allow_short=True,
    use_signal_quantity=False,
    is_active=True,
    trading_state=TradingState.ACTIVE,
    status=BotStatus.READY,
    max_signal_age_seconds=120,
    max_price_deviation_percent=None,
    cooldown_minutes=0,
    window_start=None,
    window_end=None,
    window_zone="America/New_York",
    own_exit=None,
)
CONNECTION = Connection(
    id=1,
    user_id=1,
    broker="alpaca",
    mode="paper",
    label="my paper account",
    status=ConnectionStatus.OK,
    last_error=None,
    has_credentials=True,
    trading_state=TradingState.ACTIVE,
    allow_netting=False,
    max_open_positions=None,
    max_position_size=None,
)
