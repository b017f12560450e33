"""All SQL of DashTrade, one module per group of tables; the rest of the house enters by `bot_database`."""
