"""Sessions, their changes of status and logs, and what a hub publishes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(64), primary_key=True),
        *(
            sa.Column(name, sa.String(255), nullable=False)
            for name in ("hub", "user", "server", "name", "environment", "version")
        ),
        *(sa.Column(n, sa.String(255), nullable=False) for n in ("group", "node", "policy")),
        sa.Column("cpu", sa.Integer, nullable=False),
        sa.Column("memory", sa.BigInteger, nullable=False),
        sa.Column("shm", sa.BigInteger, nullable=False),
        sa.Column("quanta", sa.Integer, nullable=False),
        sa.Column("per_gpu", sa.Integer, nullable=False),
        sa.Column("folders", sa.JSON, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("started_at", INSTANT),
        sa.Column("ended_at", INSTANT),
        sa.Column("reason", sa.String(32)),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("exit_code", sa.Integer),
        sa.Column("cpu_peak", sa.Float, nullable=False),
        sa.Column("memory_peak", sa.BigInteger, nullable=False),
        sa.Column("disk_peak", sa.BigInteger, nullable=False),
        sa.Column("cpu_seconds", sa.Float, nullable=False),
        sa.Column("io_read", sa.BigInteger, nullable=False),
        sa.Column("io_written", sa.BigInteger, nullable=False),
        sa.Column("oom_kills", sa.Integer, nullable=False),
    )
    op.create_index("sessions_by_user", "sessions", ["hub", "user", "created_at"])
    op.create_index("sessions_by_status", "sessions", ["hub", "status", "created_at"])
    op.create_index("sessions_by_age", "sessions", ["hub", "created_at"])
    op.create_index("sessions_by_end", "sessions", ["hub", "ended_at"])
    op.create_table(
        "changes",
        sa.Column(
            "session",
            sa.String(64),
            sa.ForeignKey("sessions.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("status", sa.String(16), primary_key=True),
        sa.Column("at", INSTANT, nullable=False),
    )
    op.create_table(
        "logs",
        sa.Column(
            "session",
            sa.String(64),
            sa.ForeignKey("sessions.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "published",
        sa.Column("hub", sa.String(255), primary_key=True),
        sa.Column("kind", sa.String(64), primary_key=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Remove them, with everything in them."""
    for table in ("published", "logs", "changes", "sessions"):
        op.drop_table(table)
