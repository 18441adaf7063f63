"""Which devices a session had, what kept it to its share, and what is wrong with one that lives."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns; sessions from before have nothing there."""
    op.add_column("sessions", sa.Column("gpu", sa.JSON))
    op.add_column("sessions", sa.Column("devices", sa.JSON))
    op.add_column(
        "sessions", sa.Column("warning", sa.Text, nullable=False, server_default=sa.text("''"))
    )


def downgrade() -> None:
    """Remove them."""
    for column in ("warning", "devices", "gpu"):
        op.drop_column("sessions", column)
