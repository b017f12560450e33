"""The tabs of the page 🤖 Trading Bot, each a module with `draw(user)`."""
