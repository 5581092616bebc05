"""A process that writes until it is killed: it tells each batch that the store acknowledged.

Usage: endless_writer.py FOLDER FIRST_NAME. Each line on stdout is the name of a job that was
created, assigned and ended in three commits, all of which returned.
"""

import sys
from pathlib import Path

from dispatcher.store.sqlite import SqliteDatabase
from tests.conformance.store.builders import NOW, assign, create, succeed


def main() -> None:
    folder, name = Path(sys.argv[1]), int(sys.argv[2])
    database = SqliteDatabase(folder)
    database.open()
    while True:
        database.apply([create(str(name), reserved=True)], NOW)
        database.apply([assign(str(name))], NOW)
        database.apply([succeed(str(name))], NOW)
        sys.stdout.write(f"{name}\n")
        sys.stdout.flush()
        database.checkpoint(idle=False)
        name += 1


main()
