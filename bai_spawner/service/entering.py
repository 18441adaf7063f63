"""``enter?opening=…&nonce=…&next=…``: lets a visitor into a private app, on another host.

An app's own door leads here who is not known there: here they are logged in, or log in. The
proxy asks the hub whether they may use the session, and makes a ticket for the browser that
holds the nonce; who was led here by somebody else has none, and gets in nowhere.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from tornado.web import HTTPError, authenticated

from bai_spawner.service.openings import Opens
from bai_spawner.service.pages import Page

_ID = re.compile(r"[0-9a-f]{32}")
_NONCE = re.compile(r"[0-9a-f]{64}")
LONGEST_NEXT = 8192
WORDS = {
    404: (
        "This app is not open",
        "Its user closed it, its time was over, or its session has ended.",
    ),
    403: (
        "This app is private",
        "It is open to the session's user, and to whom they shared the session with.",
    ),
    503: ("This app cannot be opened now", "Its proxy does not answer. Try again in a moment."),
}


class Enter(Opens, Page):
    """The page; it is seen only by whom it does not let in."""

    async def prepare(self) -> None:
        """Lead who is not logged in to where that is done, as every page does."""
        await Page.prepare(self)

    @authenticated
    async def get(self) -> None:
        """Lead on with a ticket, or say why not."""
        opening, nonce = self._sent("opening", _ID), self._sent("nonce", _NONCE)
        path = self.get_query_argument("next", "/")
        if not path.startswith("/") or len(path) > LONGEST_NEXT:
            path = "/"
        asked = {
            "opening": opening,
            "token": self.hub_auth.get_token(self),
            "nonce": nonce,
            "next": path,
        }
        try:
            told = await self.opener.ticket(asked)
        except HTTPError as error:
            self._say(error.status_code)
            return
        if told.status != HTTPStatus.CREATED:
            self._say(told.status)
            return
        self.set_header("Referrer-Policy", "no-referrer")
        self.redirect(told.model["url"])

    def _sent(self, key: str, pattern: re.Pattern[str]) -> str:
        """An argument; what is none of an app's door's is a link that somebody made."""
        found = self.get_query_argument(key, "")
        if not pattern.fullmatch(found):
            raise HTTPError(400, "%s", f"{key}: this link is not as an app's address makes it")
        return found

    def _say(self, status: int) -> None:
        title, text = WORDS.get(status, WORDS[503])
        self.set_status(status if status in WORDS else 503)
        self.draw("words.html", title=title, text=text)
