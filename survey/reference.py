"""What the survey folders declare, as tables: for readers (`reference`) and for the models (`raw`).

Belongs here: one table per kind of declaration. Does not belong here: answers of households, or the papers'
figures (`literature`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from survey.catalog import Catalog
from survey.crosswalk import compile_stored, compile_wave
from survey.folder import SurveyFolder

TEXT, WHOLE, BIG, NUMBER, FLAG = pa.string(), pa.int32(), pa.int64(), pa.float64(), pa.bool_()


def declared_tables(folders: Sequence[SurveyFolder], catalog: Catalog) -> dict[str, pa.Table]:
    """`surveys`, `sites` and `crosswalk` of the `reference` schema.

    Parameters
    ----------
    folders
        Surveys that have been accepted at least once.
    catalog
        The catalog; the crosswalk has a row for each of its indicators in each wave of each survey.
    """
    return {
        "surveys": _table(
            (
                {
                    "survey_id": f.survey_id,
                    "region": f.survey.region,
                    "is_synthetic": f.survey.is_synthetic,
                    "region_label_en": f.survey.region_label.en,
                    "region_label_zh": f.survey.region_label.zh,
                    "title_en": f.survey.title.en,
                    "title_zh": f.survey.title.zh,
                    "place": f.survey.place,
                    "fieldwork": f.survey.fieldwork,
                    "waves": " ".join(w.wave for w in sorted(f.survey.waves, key=lambda w: w.order)),
                    "n_sites": len(f.survey.sites),
                    "citation": f.survey.source.citation,
                    "licence": f.survey.source.licence,
                    "doi": f.survey.source.doi,
                    "published_survey_ids": " ".join(f.survey.source.published_survey_ids) or None,
                }
                for f in folders
            ),
            survey_id=TEXT,
            region=TEXT,
            is_synthetic=FLAG,
            region_label_en=TEXT,
            region_label_zh=TEXT,
            title_en=TEXT,
            title_zh=TEXT,
            place=TEXT,
            fieldwork=TEXT,
            waves=TEXT,
            n_sites=BIG,
            citation=TEXT,
            licence=TEXT,
            doi=TEXT,
            published_survey_ids=TEXT,
        ),
        "sites": _table(
            (
                {
                    "site_id": site.site_id,
                    "survey_id": f.survey_id,
                    "region": f.survey.region,
                    "is_synthetic": f.survey.is_synthetic,
                    "label_en": site.label.en,
                    "label_zh": site.label.zh,
                    "county": site.county,
                    "resettlement_mode": site.resettlement_mode,
                    "households": site.households,
                }
                for f in folders
                for site in f.survey.sites
            ),
            site_id=TEXT,
            survey_id=TEXT,
            region=TEXT,
            is_synthetic=FLAG,
            label_en=TEXT,
            label_zh=TEXT,
            county=TEXT,
            resettlement_mode=TEXT,
            households=BIG,
        ),
        "crosswalk": _table(
            (
                {
                    "survey_id": f.survey_id,
                    "wave": wave.wave,
                    "indicator_id": indicator.id,
                    "is_synthetic": f.survey.is_synthetic,
                    "rule": row.rule,
                    "sources": " ".join(row.sources) or None,
                    "codes": row.codes,
                    "unit_as_asked": row.unit,
                    "parameters": row.parameters,
                    "status": row.status,
                    "evidence": row.evidence or None,
                    "note": row.note or None,
                }
                for f in folders
                for wave in f.survey.waves
                for indicator in catalog.indicators
                for row in [f.rows_of(wave.wave)[indicator.id]]
            ),
            survey_id=TEXT,
            wave=TEXT,
            indicator_id=TEXT,
            is_synthetic=FLAG,
            rule=TEXT,
            sources=TEXT,
            codes=TEXT,
            unit_as_asked=TEXT,
            parameters=TEXT,
            status=TEXT,
            evidence=TEXT,
            note=TEXT,
        ),
    }


def model_inputs(
    folders: Sequence[SurveyFolder], catalog: Catalog, dialect: str = "duckdb"
) -> dict[str, pa.Table]:
    """What the models read to write their SQL: `compiled_selects` and `weight_scheme_members` of `raw`."""
    scheme = catalog.default_weight_scheme
    return {
        "compiled_selects": _table(
            (
                {
                    "survey_id": f.survey_id,
                    "wave": wave.wave,
                    "wave_order": wave.order,
                    **_compiled(f, wave.wave, catalog, dialect),
                }
                for f in folders
                for wave in f.survey.waves
            ),
            survey_id=TEXT,
            wave=TEXT,
            wave_order=WHOLE,
            sql=TEXT,
            stored_as=TEXT,
            stored_sql=TEXT,
        ),
        "weight_scheme_members": _table(
            (
                {
                    "scheme": scheme.id,
                    "bounds": scheme.bounds,
                    "is_default": scheme.is_default,
                    "dimension": dimension,
                    "dimension_weight": scheme.dimension_weights.get(dimension),
                    "indicator_id": indicator_id,
                    "weight": weight,
                    "member_order": order,
                }
                for order, (dimension, indicator_id, weight) in enumerate(
                    (d, i, w) for d in scheme.dimensions for i, w in scheme.weights(d).items()
                )
            ),
            scheme=TEXT,
            bounds=TEXT,
            is_default=FLAG,
            dimension=TEXT,
            dimension_weight=NUMBER,
            indicator_id=TEXT,
            weight=NUMBER,
            member_order=WHOLE,
        ),
    }


def _compiled(folder: SurveyFolder, wave: str, catalog: Catalog, dialect: str) -> dict[str, str]:
    """The SELECT of a wave, and the table it reads with the SELECT that fills it, where the engine is to have one."""
    if dialect != "duckdb":
        return {"sql": compile_wave(folder, wave, catalog, dialect)}
    parts = compile_stored(folder, wave, catalog)
    return {"sql": parts.shown, "stored_as": parts.table, "stored_sql": parts.stored}


def _table(rows: Iterable[dict[str, Any]], **columns: pa.DataType) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=pa.schema(list(columns.items())))
