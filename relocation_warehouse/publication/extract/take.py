"""An extract as files: the data in one format, the codebook beside it as Markdown and as DDI Codebook 2.5.

Belongs here: which writer a name asks for, and putting files in place together. Does not belong here: what they hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from relocation_warehouse.publication.extract.choose import Extract, ExtractError
from relocation_warehouse.publication.extract.codebook import ddi, markdown
from relocation_warehouse.publication.extract.labelled import (
    LabelledTable,
    Language,
    write_csv,
    write_excel,
    write_parquet,
    write_spss,
    write_stata,
)

FORMATS: Mapping[str, Callable[[LabelledTable, Path, Language], list[str]]] = {
    ".dta": write_stata,
    ".sav": write_spss,
    ".xlsx": write_excel,
    ".csv": write_csv,
    ".parquet": write_parquet,
}
"""Ending of a file's name -> what writes it."""


@dataclass(frozen=True)
class Taken:
    """What was written.

    Attributes
    ----------
    files
        Data, codebook, DDI.
    notes
        What the format could not hold as it is, and what became of it.
    """

    files: tuple[Path, ...]
    notes: tuple[str, ...]


def take(extract: Extract, to: Path, language: Language = "en") -> Taken:
    """Write an extract and its codebook; all files appear, or none.

    Parameters
    ----------
    extract
        What was chosen.
    to
        The data file; its ending says the format. `<name>.codebook.md` and `<name>.ddi.xml` come beside it.
    language
        Of the labels in the data file; the codebook has both.

    Raises
    ------
    ExtractError
        If there is no such format, or the folder cannot be written to.
    CannotHold
        If the format cannot hold the extract.
    """
    writer = FORMATS.get(to.suffix.lower())
    if writer is None:
        raise ExtractError(f"{to.name}: a file ends in {', '.join(FORMATS)}")
    folder = to.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{to.stem}-", dir=folder) as scratch:
            data, book, xml = (
                Path(scratch) / name for name in (to.name, f"{to.stem}.codebook.md", f"{to.stem}.ddi.xml")
            )
            notes = writer(extract.table, data, language)
            book.write_text(markdown(extract, to.name, notes), encoding="utf-8")
            xml.write_bytes(ddi(extract, to.name, to.suffix.lower()))
            written = tuple(made.replace(folder / made.name) for made in (book, xml, data))
    except OSError as error:
        raise ExtractError(f"cannot write to {folder}: {error.strerror or error}") from error
    return Taken((written[2], *written[:2]), tuple(notes))
