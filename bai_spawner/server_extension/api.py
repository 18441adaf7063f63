"""How every part answers: only to whom the server lets in, in JSON, with errors that help.

An error is ``{"message": …, "field": …}``; the message names the field, what was got and what
is accepted. Asking is no activity: a page that looks every five seconds keeps no session alive.
"""

import json
import traceback
from http import HTTPStatus
from typing import Any, NoReturn

from jupyter_server.base.handlers import APIHandler
from tornado.web import HTTPError

_SHOWN = 80


class Wrong(HTTPError):
    """What was sent is wrong; nothing was done."""

    def __init__(self, field: str, got: object, accepted: str, status: int = 400) -> None:
        told = f"{field}: {shown(got)} is not accepted; {accepted}"
        super().__init__(status, told)
        self.field, self.told = field, told


def shown(value: object) -> str:
    """What was got, quoted and bounded: it may be anything."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


class SessionHandler(APIHandler):
    """The base of the parts' handlers. Methods carry ``@web.authenticated`` and ``@authorized``."""

    auth_resource = "bai"
    _track_activity = False

    def options_of(self, *known: str) -> dict[str, str]:
        """The query's options, each given once.

        JupyterLab adds the time to every address, ``?1732585000000``, so that nothing on the
        way answers for the server: that is no option.

        Raises:
            Wrong: one is not known, or is given twice.
        """
        found: dict[str, str] = {}
        for name, values in self.request.query_arguments.items():
            if name in {"_xsrf", "token"} or (name.isdecimal() and values == [b""]):
                continue
            if name not in known:
                accepted = f"accepted: {', '.join(known)}" if known else "there are no options"
                raise Wrong("option", name, accepted)
            if len(values) > 1:
                raise Wrong(name, f"{len(values)} values", "give it once")
            found[name] = values[0].decode("utf-8", "replace")
        return found

    def body(self, **known: type) -> dict[str, Any]:
        """The request's body: a JSON object with these keys, each of its type and optional.

        Raises:
            Wrong: it is anything else.
        """
        try:
            found = json.loads(self.request.body or b"{}")
        except (ValueError, RecursionError):
            raise Wrong("body", self.request.body[:_SHOWN], "send a JSON object") from None
        if not isinstance(found, dict):
            raise Wrong("body", found, "send a JSON object")
        for name, value in found.items():
            if name not in known:
                raise Wrong("body", name, f"accepted keys: {', '.join(known) or 'none'}")
            if type(value) is not known[name]:
                raise Wrong(name, value, f"send a {_JSON.get(known[name], known[name].__name__)}")
        return found

    def refuse(self, status: HTTPStatus, message: str) -> NoReturn:
        """Answer with an error that is no fault of what was sent.

        Raises:
            HTTPError: always.
        """
        raise HTTPError(status, message)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer in JSON; what went wrong inside is for the log alone."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        told: dict[str, str] = {"message": HTTPStatus(status_code).phrase}
        if isinstance(error, HTTPError) and error.log_message:
            # with nothing to put in, tornado doubles its percent signs
            told["message"] = error.log_message % error.args
        elif error and not isinstance(error, HTTPError):
            self.log.error("%s", "".join(traceback.format_exception(error)))
        if isinstance(error, Wrong):
            told = {"message": error.told, "field": error.field}
        self.set_header("Content-Type", "application/json")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.finish(json.dumps(told))


_JSON = {str: "text", list: "list", dict: "object", int: "number", bool: "true or false"}
