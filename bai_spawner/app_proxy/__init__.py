"""The app proxy: apps of sessions on ports of the host, each for whom it was opened.

    browser ─► Door (a port, who may pass) ─► Passage (what is let through) ─► tunnel ─► app

A program of its own beside the hub, which moves bytes and holds no token of the hub's: who a
visitor is, the Sessions service tells it over a socket that nobody else can reach. What is open
stands in the records, and nothing else does: a proxy that was killed opens it again, and closes
what ended meanwhile.
"""
