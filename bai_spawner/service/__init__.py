"""The hub-managed service ``sessions``: a process of its own, without the engine's socket.

It acts with the visitor's own token and reads what the hub publishes in the records'
database. If it is away, the hub's pages work on without it.
"""
