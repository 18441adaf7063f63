"""What pages of sessions are read by, names of variables, watches, and revisions."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

INSTANT = sa.DateTime(timezone=True)
NONE = sa.text("''")
BEFORE = {
    "sessions_by_user": ["hub", "user", "created_at"],
    "sessions_by_status": ["hub", "status", "created_at"],
    "sessions_by_age": ["hub", "created_at"],
}
AFTER = {
    "sessions_by_user": ["hub", "user", "created_at", "id"],
    "sessions_by_user_tab": ["hub", "user", "tab", "created_at", "id"],
    "sessions_by_tab": ["hub", "tab", "created_at", "id"],
    "sessions_by_age": ["hub", "created_at", "id"],
}
TABS = {"terminated": "finished", "cancelled": "finished", "error": "others"}


def upgrade() -> None:
    """Add columns, also for the sessions that there are, and make indexes and tables."""
    op.add_column("sessions", sa.Column("variables", sa.JSON))
    op.add_column("sessions", sa.Column("tab", sa.String(16), nullable=False, server_default=NONE))
    sessions = sa.table("sessions", sa.column("status"), sa.column("tab"))
    tab = sa.case(TABS, value=sessions.c.status, else_="running")
    op.execute(sessions.update().values(tab=tab))
    _index(BEFORE, AFTER)
    op.create_table(
        "revisions",
        sa.Column("hub", sa.String(255), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "watches",
        sa.Column(
            "session",
            sa.String(64),
            sa.ForeignKey("sessions.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("reported", INSTANT),
        sa.Column("last", INSTANT),
        sa.Column("busy", sa.Boolean, nullable=False),
        sa.Column("because", sa.Text, nullable=False),
        sa.Column("kept", INSTANT),
        sa.Column("extensions", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    """Remove them, and make the indexes as they were."""
    for table in ("watches", "revisions"):
        op.drop_table(table)
    _index(AFTER, BEFORE)
    for column in ("tab", "variables"):
        op.drop_column("sessions", column)


def _index(before: dict[str, list[str]], after: dict[str, list[str]]) -> None:
    for name in before:
        op.drop_index(name, "sessions")
    for name, columns in after.items():
        op.create_index(name, "sessions", columns)
