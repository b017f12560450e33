"""Where the pages are, for links between them; as Streamlit wants it, from the folder of navigation.py."""

OVERVIEW = "../pages/overview.py"
TRADING_BOT = "../pages/7_🤖_Trading_Bot.py"
SIGNALS = "../pages/signals.py"
WATCHED_BOTS = "../pages/watched_bots.py"
DISCORD = "../pages/discord.py"
SETTINGS = "../pages/settings.py"
ADMIN = "../pages/admin.py"
