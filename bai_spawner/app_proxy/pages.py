"""What a door says itself: short pages in words, which load nothing and run nothing."""

from __future__ import annotations

from aiohttp import web
from markupsafe import Markup, escape

_PAGE = Markup(
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width"><title>{title}</title>{head}<style>'
    "body{{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem;"
    "color-scheme:light dark}}h1{{font-size:1.3rem}}</style></head>"
    "<body><main><h1>{title}</h1><p>{text}</p>{link}</main></body></html>"
)
_LINK = Markup('<p><a href="{url}">{words}</a></p>')
_AGAIN = Markup('<meta http-equiv="refresh" content="{seconds}">')
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def page(
    status: int,
    title: str,
    text: str,
    *,
    link: tuple[str, str] | None = None,
    again: int = 0,
    headers: dict[str, str] | None = None,
) -> web.Response:
    """A page.

    Args:
        status: of HTTP.
        title: what happened.
        text: why, and what can be done.
        link: an address, and its words.
        again: seconds after which the browser asks once more; 0: never.
        headers: more of them.
    """
    filled = _PAGE.format(
        title=title,
        text=text,
        head=_AGAIN.format(seconds=again) if again else "",
        link=_LINK.format(url=escape(link[0]), words=link[1]) if link else "",
    )
    told = HEADERS | (headers or {}) | ({"Retry-After": str(again)} if again else {})
    return web.Response(status=status, text=filled, content_type="text/html", headers=told)
