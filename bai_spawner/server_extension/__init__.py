"""What runs inside a session's container.

Nothing here imports the hub's side of the package, and importing this module
imports nothing else: the server starts in the time that its imports take.
"""


def _jupyter_server_extension_points() -> list[dict[str, object]]:
    """Where Jupyter Server finds the extension."""
    from bai_spawner.server_extension.app import SessionApp  # noqa: PLC0415 - when it is asked for

    return [{"module": "bai_spawner.server_extension.app", "app": SessionApp}]
