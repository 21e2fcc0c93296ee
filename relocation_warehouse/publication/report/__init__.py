"""The static report: one offline page over the published tables.

Belongs here: `data` (queries), `figures` (charts), `page` (words and HTML). Does not belong here: any number that is
not in a published table.
"""

from relocation_warehouse.publication.report.page import write_report

__all__ = ["write_report"]
