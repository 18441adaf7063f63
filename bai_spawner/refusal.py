"""Refusals and failures as JupyterHub carries them to form, pending page, progress and REST.

JupyterHub 6.1 shows ``jupyterhub_message`` as text, ``jupyterhub_html_message`` as
trusted HTML (escaped here), logs ``log_message`` and counts ``reason`` in Prometheus.
Its own `SpawnException` shows users the log message instead, hence this subclass.
A log line is one line, bounded, and holds no text of the user's with a line break.
"""

from __future__ import annotations

from http import HTTPStatus

from jupyterhub.spawner import SpawnException
from markupsafe import Markup

from bai_spawner.errors import EngineAway, EngineError, Problem, Reason, Refused, StartFailed

MOST_PROBLEMS = 20
LOG_LENGTH = 1000
SHOWN_LOG = 4000
"""Characters of a failed session's log that are shown."""


class LaunchError(SpawnException):
    """A launch that does not take place; ``problems`` for the form, when it was refused."""

    def __init__(
        self,
        message: str,
        *,
        reason: Reason,
        status_code: int,
        html: Markup,
        problems: tuple[Problem, ...] = (),
    ) -> None:
        super().__init__(message, reason=reason.value, status_code=status_code)
        line = " | ".join(message.split("\n")[:MOST_PROBLEMS])[:LOG_LENGTH]
        # tornado formats it with %, and a user may have written one
        self.log_message = line.replace("%", "%%")
        self.jupyterhub_message = message
        self.jupyterhub_html_message = str(html)
        self.problems = problems


_STATUS = {
    Reason.CAPACITY: HTTPStatus.CONFLICT,
    Reason.RECORDS: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""Of a reason that is not the request's own fault."""


def refused(error: Refused) -> LaunchError:
    """A refusal: 400; 409 when there is only no room now, 503 when nothing can be launched now."""
    problems = error.problems[:MOST_PROBLEMS]
    lines = [str(p) for p in problems]
    if rest := len(error.problems) - len(problems):
        lines.append(f"and {rest} more")
    items = Markup("").join(Markup("<li>{}</li>").format(line) for line in lines)
    return LaunchError(
        "\n".join(lines),
        reason=error.reason,
        status_code=_STATUS.get(error.reason, HTTPStatus.BAD_REQUEST),
        html=Markup("<ul>{}</ul>").format(items),
        problems=problems,
    )


def failed(error: EngineError, *, secret: str) -> LaunchError:
    """A start that failed: 500; 409 when another hub took the room, 503 while the engine is away.

    ``secret`` is never shown.
    """
    message = str(error)
    html = Markup("<p>{}</p>").format(message)
    if isinstance(error, StartFailed) and (log := _tail(error.log, secret)):
        html += Markup('<pre class="text-start">{}</pre>').format(log)
        message = f"{message}\nThe end of its log:\n{log}"
    status = _STATUS.get(error.reason, HTTPStatus.INTERNAL_SERVER_ERROR)
    if isinstance(error, EngineAway):
        status = HTTPStatus.SERVICE_UNAVAILABLE
    return LaunchError(
        message,
        reason=error.reason,
        status_code=status,
        html=html,
    )


def _tail(log: str, secret: str) -> str:
    """The end of a log, bounded, printable, without the session's token."""
    if secret:
        log = log.replace(secret, "[token]")
    shown = "".join(c for c in log[-SHOWN_LOG:] if c.isprintable() or c in "\n\t")
    return shown.strip()
