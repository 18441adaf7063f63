"""Runs the migrations on the connection that `bai_spawner.records.database` hands over."""

from alembic import context

from bai_spawner.records.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="bai_version",
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
