"""An audit of the ledger in SQLite: one read transaction, beside the service or without it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from malha_cost.auditing import ENTRIES, FINER_BALANCES, METERED, TOTALS, USAGE, Audit, differences
from malha_cost.ledger import Entry


class UnreadableError(Exception):
    """There is no ledger of this version to read; the message says why."""


def read(path: Path) -> Audit:
    """Audit the file.

    Raises:
        UnreadableError: with a text for whoever asked.
    """
    if not path.is_file():
        raise UnreadableError(f"there is no ledger in {path.parent}")
    audit = Audit()
    try:
        # an address, in which a # or a % of a folder's name is written otherwise
        address = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=10)) as connection:
            connection.execute("BEGIN")  # what follows sees one moment
            audit.take(Entry(*row) for row in connection.execute(ENTRIES))
            for scope, query in differences():
                audit.take_differences(scope, connection.execute(query))
            audit.take_totals(connection.execute(TOTALS))
            audit.take_usage(connection.execute(USAGE), connection.execute(METERED))
            audit.finish(connection.execute(FINER_BALANCES))
    except sqlite3.OperationalError as error:
        raise UnreadableError(
            f"the ledger cannot be read ({error}); an older one is migrated by a start"
        ) from error
    except sqlite3.DatabaseError as error:  # damaged, or never one
        raise UnreadableError(f"the ledger cannot be read ({error})") from error
    return audit
