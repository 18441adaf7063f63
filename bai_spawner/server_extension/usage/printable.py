"""Names that users and programs chose, made fit for a sentence."""

_LONGEST = 80


def printable(text: str) -> str:
    """A text of anybody's on one line, without what a terminal would obey, and not too long."""
    kept = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    return kept if len(kept) <= _LONGEST else f"{kept[:_LONGEST]}…"
