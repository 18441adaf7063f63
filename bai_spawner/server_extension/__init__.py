"""What runs inside a session's container.

Nothing here imports the hub's side of the package, and importing this module
imports nothing else: the server starts in the time that its imports take.
"""
