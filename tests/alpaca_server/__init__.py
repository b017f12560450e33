"""A local server that answers as Alpaca does: the simulator's books behind Alpaca's wire format.

`python -m tests.alpaca_server --port 0 --seed 1` runs it alone and prints its address;
`tests.alpaca_server.local.running_server()` runs it inside a test. Tests drive it through
`tests.alpaca_server.local.Control` (`/_control/...`), from any process.
"""
