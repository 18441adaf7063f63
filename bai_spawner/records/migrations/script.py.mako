"""${message}"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Towards the newer version."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Back to the older version."""
    ${downgrades if downgrades else "pass"}
