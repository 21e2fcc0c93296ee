"""Variables and surveys of a reader's choice, taken home in the format of the reader's program.

Belongs here: choosing (`choose`), files with labels (`labelled`), the codebook (`codebook`). Does not belong here:
publishing whole tables as they are (`files`).
"""

from relocation_warehouse.publication.extract.choose import Extract, ExtractError, choose
from relocation_warehouse.publication.extract.take import FORMATS, Taken, take

__all__ = ["FORMATS", "Extract", "ExtractError", "Taken", "choose", "take"]
