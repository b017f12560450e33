"""One interface to every broker; each adapter is a thin client and a pure mapping."""
