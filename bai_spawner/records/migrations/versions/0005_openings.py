"""Apps of sessions that were opened on a port of the host."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "openings",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column(
            "session",
            sa.String(64),
            sa.ForeignKey("sessions.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("app", sa.String(32), nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("public", sa.Boolean, nullable=False),
        sa.Column("expires", INSTANT),
        sa.Column("allowed", sa.JSON, nullable=False),
        sa.Column("password", sa.Text, nullable=False),
        sa.Column("wanted", sa.Integer),
        sa.Column("told", sa.Text, nullable=False),
        sa.Column("opened_at", INSTANT, nullable=False),
        sa.Column("opened_by", sa.String(255), nullable=False),
        sa.Column("opened_from", sa.String(64), nullable=False),
        sa.Column("last_used", INSTANT),
        sa.Column("bytes_in", sa.BigInteger, nullable=False),
        sa.Column("bytes_out", sa.BigInteger, nullable=False),
        sa.Column("closed_at", INSTANT),
        sa.Column("closed_by", sa.String(255), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
    )
    op.create_index("openings_by_session", "openings", ["session", "app"])
    op.create_index("openings_by_end", "openings", ["closed_at", "id"])


def downgrade() -> None:
    """Remove it, with everything in it."""
    op.drop_table("openings")
