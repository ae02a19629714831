"""Runs migrations on the connection that `migrate` hands over."""

from alembic import context

from graphmeta.serve.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="graphmeta_version",
    transactional_ddl=True,  # `database` begins the transaction itself, in SQLite too.
)
with context.begin_transaction():
    context.run_migrations()
