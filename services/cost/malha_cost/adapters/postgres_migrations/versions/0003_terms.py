"""How an entry was priced beyond its three rates."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Empty in entries of the version before, also in those that it still writes until it is replaced."""
    op.execute("ALTER TABLE cost.entries ADD COLUMN terms TEXT NOT NULL DEFAULT ''")


def downgrade() -> None:
    """A ledger is not unmade."""
    raise NotImplementedError("a ledger is only ever added to")
