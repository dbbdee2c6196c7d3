"""Migrations against the tables of the code."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from eval.ratings import schema
from eval.store.schema import metadata


def test_migrations_give_the_rating_tables(database):
    assert schema.ledger.name in metadata.tables
    with database.read() as connection:
        context = MigrationContext.configure(connection)
        found = [step for step in compare_metadata(context, metadata) if "rating_" in str(step)]
    assert found == []
