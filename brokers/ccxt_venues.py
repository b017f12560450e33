"""The exchanges that are reached through ccxt, each an entry of one table.

Another one is another entry (docs/adding-a-broker.md); only what an exchange does in no other's way
needs code of its own, as BloFin does in `brokers/blofin.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from brokers.base import BrokerName, Capabilities, CredentialField, Mode
from core.instrument import AssetClass
from core.order import MarginMode

API_KEY = CredentialField(name="api_key", label="API key", secret=False)
API_SECRET = CredentialField(name="api_secret", label="API secret key")
PASSPHRASE = CredentialField(name="passphrase", label="API passphrase")
# what ccxt calls them
CCXT_NAMES = {"api_key": "apiKey", "api_secret": "secret", "passphrase": "password"}

CONNECT_TIMEOUT = 3.05
READ_TIMEOUT = 10.0
# The longest that what comes before an order's own request may take: position mode, leverage, markets.
PREPARE_SECONDS = 10.0


class MarginPlace(StrEnum):
    """Where an exchange keeps the margin mode: with each order, each symbol, or the whole account."""

    ORDER = "order"
    SYMBOL = "symbol"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """An exchange's error codes by what they tell us to do; any other code refuses for good.

    `absent`: there is no such order. `ended`: an order cannot be cancelled since it is over.
    `mode`: the account is in the other position mode. `unchanged`: a setting is as wanted already. `clock`:
    our clock is too far from theirs, nothing was taken.
    """

    duplicate: frozenset[str] = frozenset()
    conflict: frozenset[str] = frozenset()
    unavailable: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()
    ended: frozenset[str] = frozenset()
    mode: frozenset[str] = frozenset()
    unchanged: frozenset[str] = frozenset()
    clock: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """How an exchange wraps its answers.

    `code` and `message` name the fields of a failure, `success` the codes that are none. A `strict`
    exchange always sends its code; a strict answer without one is not understood. `items` is where the
    results of single operations stand, each with a code of its own. `lists` are the addresses whose
    answer must hold a list, and where: an answer without it must not read as empty.
    """

    code: str
    message: str
    success: frozenset[str] = frozenset({"0"})
    strict: bool = True
    items: str | None = None
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """Where an exchange's own balance, as ccxt hands it on, tells of the money in USDT.

    `rows` leads to a list, `currency` names the field that is USDT in ours, `equity`, `cash` and `free` are
    fields of it; `free_of_all` leads to the free margin where it is told for the account as a whole.
    """

    rows: tuple[str | int, ...]
    currency: str
    equity: str
    cash: str
    free: str = ""
    free_of_all: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """How the rest of the open orders is asked for: `size` on a page, a cursor received and one sent."""

    size: int
    received: str
    sent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUp:
    """One way to ask for an order by our id.

    `method` is ccxt's name of the call, `id_name` and `symbol_name` the parameters for our id and for the
    symbol, each None where the call takes none, `path` where the order, or a list of orders, is in the answer.
    """

    method: str
    id_name: str | None
    symbol_name: str | None = None
    fixed: Mapping[str, str] = field(default_factory=dict)
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """One exchange as ccxt reaches it.

    `ccxt_id` names ccxt's module and class; `demo` the entry of its `urls` where the play money is.
    `options` go to ccxt as they are. Where `hedges` is False the account must be in one-way mode.
    `look_ups` are tried in turn: the first that has the order ends it, and only when none was skipped
    for want of the symbol have they shown that there is no such order. `tiers`: the greatest leverage and the
    maintenance rate are not among a market's rules and are asked for. Without `pages` one answer is the
    whole list of open orders.
    """

    name: BrokerName
    title: str
    ccxt_id: str
    demo: str
    credential_fields: tuple[CredentialField, ...]
    capabilities: Capabilities
    envelope: Envelope
    codes: Codes
    money: Money
    hedges: bool = False
    margin_place: MarginPlace = MarginPlace.SYMBOL
    look_ups: tuple[LookUp, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    order_parameters: Mapping[str, str | int] = field(default_factory=dict)
    tiers: bool = False
    pages: Pages | None = None


def _capabilities(
    *,
    calls_per_minute: int,
    holds_protection: bool = False,
    margin_modes: tuple[MarginMode, ...] = (MarginMode.ISOLATED, MarginMode.CROSS),
) -> Capabilities:
    return Capabilities(
        modes=(Mode.DEMO, Mode.LIVE),
        asset_classes=(AssetClass.CRYPTO,),
        shorts=True,
        streams=False,
        holds_protection=holds_protection,
        # the latest moment at which an order's request can still be under way
        read_timeout_seconds=PREPARE_SECONDS + CONNECT_TIMEOUT + READ_TIMEOUT,
        calls_per_minute=calls_per_minute,
        margin_modes=margin_modes,
    )


BLOFIN = Venue(
    name=BrokerName.BLOFIN,
    title="BloFin",
    ccxt_id="blofin",
    demo="test",
    credential_fields=(API_KEY, API_SECRET, PASSPHRASE),
    # 30 trading calls in 10 s per user; 1,500 calls in 5 min per address, or an hour without service
    capabilities=_capabilities(calls_per_minute=120, holds_protection=True),
    envelope=Envelope(
        code="code",
        message="msg",
        items="data",
        lists={
            "/account/positions": ("data",),
            "/trade/orders-pending": ("data",),
            "/trade/orders-history": ("data",),
            "/trade/orders-tpsl-pending": ("data",),
            "/trade/orders-tpsl-history": ("data",),
            "/market/instruments": ("data",),
            "/market/books": ("data",),
            "/account/batch-leverage-info": ("data",),
        },
    ),
    codes=Codes(
        duplicate=frozenset({"102002", "150003"}),
        conflict=frozenset({"102005", "102022"}),
        unavailable=frozenset({"429", "152407", "152429"}),
        clock=frozenset({"152405"}),
        unknown=frozenset({"500", "103013"}),
        ended=frozenset({"102068", "1000"}),
        mode=frozenset({"102089"}),
    ),
    money=Money(
        rows=("data", "details"), currency="currency", equity="equity", cash="balance", free="available"
    ),
    hedges=True,
    margin_place=MarginPlace.ORDER,
    look_ups=(
        LookUp(
            method="private_get_trade_order_detail",
            id_name="clientOrderId",
            symbol_name="instId",
            path=("data",),
        ),
    ),
)

BYBIT = Venue(
    name=BrokerName.BYBIT,
    title="Bybit",
    ccxt_id="bybit",
    demo="test",
    credential_fields=(API_KEY, API_SECRET),
    # 10 orders a second for one user, 600 calls in 5 s for one address
    capabilities=_capabilities(calls_per_minute=300, margin_modes=(MarginMode.CROSS,)),
    envelope=Envelope(
        code="retCode",
        message="retMsg",
        lists={
            "/v5/position/list": ("result", "list"),
            "/v5/order/realtime": ("result", "list"),
            "/v5/order/history": ("result", "list"),
            "/v5/account/wallet-balance": ("result", "list"),
            "/v5/market/instruments-info": ("result", "list"),
        },
    ),
    codes=Codes(
        duplicate=frozenset({"110072", "10014"}),
        conflict=frozenset({"110017"}),
        unavailable=frozenset({"10006", "10018", "10429", "3400214"}),
        clock=frozenset({"10002"}),
        unknown=frozenset({"10000", "10016", "10019"}),
        absent=frozenset({"110001", "20001"}),
        ended=frozenset({"110001", "110008", "110010", "170213"}),
        mode=frozenset({"110025"}),
        unchanged=frozenset({"110043"}),
    ),
    money=Money(
        rows=("result", "list", 0, "coin"),
        currency="coin",
        equity="equity",
        cash="walletBalance",
        free_of_all=("result", "list", 0, "totalAvailableBalance"),
    ),
    margin_place=MarginPlace.ACCOUNT,
    pages=Pages(size=50, received="nextPageCursor", sent="cursor"),
    look_ups=(
        LookUp(
            method="private_get_v5_order_realtime",
            id_name="orderLinkId",
            fixed={"category": "linear", "settleCoin": "USDT"},
            path=("result", "list"),
        ),
        LookUp(
            method="private_get_v5_order_history",
            id_name="orderLinkId",
            fixed={"category": "linear"},
            path=("result", "list"),
        ),
    ),
    options={
        "defaultType": "swap",
        "defaultSettle": "USDT",
        "fetchMarkets": {"types": ["linear"]},
        "enableUnifiedMargin": False,
        "enableUnifiedAccount": True,
        "unifiedMarginStatus": 6,
    },
    order_parameters={"positionIdx": 0},
)

BINANCE_FUTURES = Venue(
    name=BrokerName.BINANCE_FUTURES,
    title="Binance USD-M futures",
    ccxt_id="binanceusdm",
    demo="demo",
    credential_fields=(API_KEY, API_SECRET),
    # 2,400 of weight a minute for one address, where positions and open orders weigh 5 to 40
    capabilities=_capabilities(calls_per_minute=200),
    envelope=Envelope(
        code="code",
        message="msg",
        success=frozenset({"0", "200"}),
        strict=False,
        lists={
            "/positionRisk": (),
            "/openOrders": (),
            "/exchangeInfo": ("symbols",),
        },
    ),
    codes=Codes(
        duplicate=frozenset({"-4116", "-4111"}),
        conflict=frozenset({"-2022"}),
        unavailable=frozenset({"-1003", "-1008", "-1015"}),
        clock=frozenset({"-1021"}),
        unknown=frozenset({"-1000", "-1001", "-1006", "-1007", "-1016"}),
        absent=frozenset({"-2013"}),
        ended=frozenset({"-2011"}),
        mode=frozenset({"-4061"}),
        unchanged=frozenset({"-4046"}),
    ),
    money=Money(
        rows=("assets",),
        currency="asset",
        equity="marginBalance",
        cash="walletBalance",
        free="availableBalance",
    ),
    hedges=True,
    tiers=True,
    look_ups=(
        LookUp(method="fapiprivate_get_openorders", id_name=None),
        LookUp(method="fapiprivate_get_order", id_name="origClientOrderId", symbol_name="symbol"),
    ),
    options={
        "defaultType": "swap",
        "fetchMarkets": {"types": ["linear"]},
        "warnOnFetchOpenOrdersWithoutSymbol": False,
    },
)

VENUES: Mapping[BrokerName, Venue] = {venue.name: venue for venue in (BLOFIN, BYBIT, BINANCE_FUTURES)}
