"""What the survey folders declare, as tables of the `reference` schema.

Belongs here: one table per kind of declaration. Does not belong here: answers of households, or the papers'
figures (`literature`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pyarrow as pa

from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.crosswalk import unit_factor
from relocation_warehouse.survey.folder import SurveyFolder
from relocation_warehouse.survey.vocabulary import round_of

TEXT, BIG, NUMBER, FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()


def declared_tables(folders: Sequence[SurveyFolder], catalog: Catalog) -> dict[str, pa.Table]:
    """`surveys`, `waves`, `sites` and `crosswalk` of the `reference` schema.

    Parameters
    ----------
    folders
        Surveys that have been accepted at least once.
    catalog
        The catalog; the crosswalk has a row for each of its indicators in each wave of each survey.
    """
    waves = [(f, wave) for f in folders for wave in f.survey.waves]
    in_time = {f.survey_id: [w.wave for w in sorted(f.survey.waves, key=lambda w: w.order)] for f in folders}
    return {
        "surveys": _table(
            ((f, f.survey) for f in folders),
            survey_id=(TEXT, lambda f, s: f.survey_id),
            region=(TEXT, lambda f, s: s.region),
            is_synthetic=(FLAG, lambda f, s: s.is_synthetic),
            region_label_en=(TEXT, lambda f, s: s.region_label.en),
            region_label_zh=(TEXT, lambda f, s: s.region_label.zh),
            title_en=(TEXT, lambda f, s: s.title.en),
            title_zh=(TEXT, lambda f, s: s.title.zh),
            place=(TEXT, lambda f, s: s.place.en),
            place_zh=(TEXT, lambda f, s: s.place.zh),
            fieldwork=(TEXT, lambda f, s: s.fieldwork),
            waves=(TEXT, lambda f, s: " ".join(in_time[f.survey_id])),
            n_sites=(BIG, lambda f, s: len(s.sites)),
            has_sampling_units=(
                FLAG,
                lambda f, s: all("sampling_unit" in s.sampling(w.wave).names for w in s.waves),
            ),
            citation=(TEXT, lambda f, s: s.source.citation),
            licence=(TEXT, lambda f, s: s.source.licence),
            doi=(TEXT, lambda f, s: s.source.doi),
            published_survey_ids=(TEXT, lambda f, s: " ".join(s.source.published_survey_ids) or None),
        ),
        "waves": _table(
            waves,
            survey_id=(TEXT, lambda f, wave: f.survey_id),
            wave=(TEXT, lambda f, wave: wave.wave),
            wave_order=(pa.int32(), lambda f, wave: wave.order),
            region=(TEXT, lambda f, wave: f.survey.region),
            is_synthetic=(FLAG, lambda f, wave: f.survey.is_synthetic),
            round=(TEXT, lambda f, wave: round_of(wave.wave, in_time[f.survey_id])),
            fieldwork=(TEXT, lambda f, wave: f.survey.fieldwork_of(wave.wave)),
            label_en=(TEXT, lambda f, wave: wave.label.en),
            label_zh=(TEXT, lambda f, wave: wave.label.zh),
        ),
        "sites": _table(
            ((f, site) for f in folders for site in f.survey.sites),
            site_id=(TEXT, lambda f, site: site.site_id),
            survey_id=(TEXT, lambda f, site: f.survey_id),
            region=(TEXT, lambda f, site: f.survey.region),
            is_synthetic=(FLAG, lambda f, site: f.survey.is_synthetic),
            label_en=(TEXT, lambda f, site: site.label.en),
            label_zh=(TEXT, lambda f, site: site.label.zh),
            county=(TEXT, lambda f, site: site.county),
            resettlement_mode=(TEXT, lambda f, site: site.resettlement_mode),
            households=(BIG, lambda f, site: site.households),
        ),
        "crosswalk": _table(
            ((f, wave.wave, f.rows_of(wave.wave)[i.id]) for f, wave in waves for i in catalog.indicators),
            survey_id=(TEXT, lambda f, wave, row: f.survey_id),
            wave=(TEXT, lambda f, wave, row: wave),
            indicator_id=(TEXT, lambda f, wave, row: row.indicator_id),
            is_synthetic=(FLAG, lambda f, wave, row: f.survey.is_synthetic),
            rule=(TEXT, lambda f, wave, row: row.rule),
            sources=(TEXT, lambda f, wave, row: " ".join(row.sources) or None),
            codes=(TEXT, lambda f, wave, row: row.codes),
            unit_as_asked=(TEXT, lambda f, wave, row: row.unit),
            unit_factor=(NUMBER, lambda f, wave, row: unit_factor(f, wave, row, catalog)),
            parameters=(TEXT, lambda f, wave, row: row.parameters),
            row_filter=(TEXT, lambda f, wave, row: row.where),
            status=(TEXT, lambda f, wave, row: row.status),
            evidence=(TEXT, lambda f, wave, row: row.evidence or None),
            evidence_zh=(TEXT, lambda f, wave, row: row.evidence_zh or None),
            note=(TEXT, lambda f, wave, row: row.note or None),
            note_zh=(TEXT, lambda f, wave, row: row.note_zh or None),
        ),
    }


def _table(
    things: Iterable[tuple[Any, ...]], **columns: tuple[pa.DataType, Callable[..., object]]
) -> pa.Table:
    """One row for each of the things; a column is its type and what it says of one."""
    kept = list(things)
    return pa.table(
        {n: pa.array([say(*thing) for thing in kept], kind) for n, (kind, say) in columns.items()}
    )
