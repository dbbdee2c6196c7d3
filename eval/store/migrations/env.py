"""Alembic's entry point: runs migrations on the connection that the workspace hands over."""

from alembic import context

import eval.ratings.schema  # noqa: F401  # adds its tables to the same metadata
from eval.store.schema import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise RuntimeError(
        "migrations run through eval.store.migrate.upgrade, which hands over a connection"
    )
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
