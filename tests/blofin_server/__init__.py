"""A local server that answers as BloFin's perpetual futures do, with a book of its own.

In a test::

    from tests.blofin_server.local import running_server

    with running_server() as control:                      # in a thread; mode="demo" for the demo host
        control.account("key", "secret", "phrase", balance=10_000)
        control.price("BTC-USDT", 60_000)                  # bid, ask, last and mark
        client = ccxt.blofin({"apiKey": "key", "secret": "secret", "password": "phrase",
                              "urls": {"api": {"rest": control.url}}})

`python -m tests.blofin_server --port 9000 --mode demo --account key:secret:phrase` runs it alone and prints
its address; `Control(url)` of `local` drives it from any process, over `/_control/...`.

- Keys: an ordinary key (`key_type=1`) refuses every `brokerId` (152011), `key_type=2` wants the one it is
  bound to (`broker_id=`); `settings(refuse_broker_ids=False)` turns the first off.
- Faults: `control.fault("answer_after", "POST", "/api/v1/trade/order", status=502)`; see `FaultKind`.
- Orders fill at once at the set price; `settings(hold_fills=True)` with `fill(...)`, `settings(fill_size=..)`
  or `settings(fill_delay=..)` change that. Stops and targets go by the last price.
- What was received: `control.requests()`, `control.orders(key)`; every field of `Settings` is a switch, and
  its docstring says which of BloFin's ways are known and which are guesses.
"""
