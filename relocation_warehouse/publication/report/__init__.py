"""The static report: offline pages over the published tables.

Belongs here: `data` (queries), `figures` (charts), `page` (words and HTML), `explore` (the page of own questions). Does
not belong here: any number that is not in a published table.
"""

from pathlib import Path

from relocation_warehouse.ground.kept import Kept
from relocation_warehouse.publication.database import read_only
from relocation_warehouse.publication.report.data import Reader
from relocation_warehouse.publication.report.explore import write_explorer
from relocation_warehouse.publication.report.page import write_page

__all__ = ["write_report"]


def write_report(published_db: Path, out: Path, kept: Kept | None = None) -> None:
    """Write the report of a published database: two HTML files that need nothing else.

    Parameters
    ----------
    published_db
        A published `warehouse.duckdb`, of either edition; opened read-only.
    out
        Folder of the report; `index.html` and `explore.html` are written into it.
    kept
        Where figures and tables are kept by what they are made from; None for nowhere.
    """
    out.mkdir(parents=True, exist_ok=True)
    with read_only(published_db) as con:
        # with several threads, rows that a query leaves in no order would come in another one each time
        con.execute("set threads = 1")
        reader = Reader(con)
        write_page(reader, out / "index.html", kept=kept)
        write_explorer(reader, out / "explore.html")
