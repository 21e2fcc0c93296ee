"""What the report shows, read from a published database.

Belongs here: one query for each figure or table, as a data frame with labels in both languages. Does not belong
here: drawing (`figures`), wording (`page`), and any table that only one edition has, except where it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import duckdb
import pandas as pd

from relocation_warehouse.contract.tables import Table
from relocation_warehouse.contract.words import Pair, WordsOf
from relocation_warehouse.ground import sql
from relocation_warehouse.survey.vocabulary import ANSWERED

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, Language] = ("en", "zh")


GROUPS = """
    select 'site' as group_type, site_id as group_id, label_en, label_zh from reference.sites
    union all
    select i.indicator_id, c.code, c.label_en, c.label_zh
    from reference.indicators i join reference.codes c using (code_list)
    union all
    select code_list, code, label_en, label_zh from reference.codes
"""
"""Words of sites and of the answers that households are grouped by."""

LISTS = ("obstacles", "items_to_blame", "surveys")
"""Columns that name indicators, or surveys by their regions, separated by a bar."""

WHOLE: dict[Language, str] = {"en": "all", "zh": "全体"}
WAVE: dict[Language, str] = {"en": "wave: ", "zh": "轮次："}


def localise(frame: pd.DataFrame, language: Language) -> pd.DataFrame:
    """Keep the labels of one language: `x_en` and `x_zh` become `x`, in place of an id of that name."""
    other = "zh" if language == "en" else "en"
    labelled = {c.removesuffix(f"_{language}") for c in frame.columns if c.endswith(f"_{language}")}
    kept = frame[[c for c in frame.columns if not c.endswith(f"_{other}") and c not in labelled]]
    return kept.rename(columns={c: c.removesuffix(f"_{language}") for c in kept.columns})


_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


def in_one_range(sentences: Iterable[str], to: str) -> str:
    """One sentence for all that differ in numbers alone: from the lowest `to` the highest.

    "covers 95 to 97 of 100" and "covers 93 to 96 of 100" are "covers 93 to 97 of 100", "in 5 units" and "in 7 units"
    are "in 5 to 7 units".
    """
    alike = list(sentences)
    between = _NUMBER.split(alike[0])
    told = between[0]
    for k, numbers in enumerate(zip(*map(_NUMBER.findall, alike), strict=True)):
        lowest, *_, highest = sorted([*numbers, *numbers], key=lambda number: float(number.replace(",", "")))
        is_end = between[k] == to, between[k + 1] == to
        told += (
            highest if is_end[0] else lowest if lowest == highest or is_end[1] else f"{lowest}{to}{highest}"
        )
        told += between[k + 1]
    return told


@dataclass(frozen=True)
class Options:
    """The combination of options that the pipeline uses where it has to choose one."""

    scheme: str
    variant: str


class Reader:
    """Queries on one published database.

    Parameters
    ----------
    con
        Read-only connection with the published tables in its current database.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        self.regions: pd.DataFrame = con.execute(
            "select region, min(region_label_en) as region_en, min(region_label_zh) as region_zh"
            " from reference.surveys group by region order by min(survey_id)"
        ).df()
        words = con.execute(
            "select column_name, code, label_en, label_zh from reference.value_labels"
        ).fetchall()
        regions = [("region", *row) for row in self.regions.itertuples(index=False)]
        pairs: dict[str, dict[str, Pair]] = {}
        for column, code, en, zh in [*words, *regions]:
            pairs.setdefault(column, {})[code] = {"en": en, "zh": zh}
        pairs["interval_reason"] = pairs.get("reason", {}) | pairs.get("interval_reason", {})
        self._words = {column: WordsOf(of_column) for column, of_column in pairs.items()}
        self._groups: dict[tuple[str, str], dict[Language, str]] = {
            (kind, group): {"en": en, "zh": zh} for kind, group, en, zh in con.execute(GROUPS).fetchall()
        }
        self._labels: dict[str, dict[Language, str]] = {
            name: {"en": en, "zh": zh}
            for name, en, zh in con.execute(
                "select indicator_id, label_en, label_zh from reference.indicators"
                " union all select survey_id, region_label_en, region_label_zh from reference.surveys"
            ).fetchall()
        }
        self.options = self._options()

    def _rows(self, query: str, parameters: list[object] | None = None) -> pd.DataFrame:
        """Answer of a query, with the words of codes and regions in column `x` as `x_en` and `x_zh`.

        So have groups, units of change and lists of indicators. A code without a label is shown as it is. Papers write
        regions with a capital.
        """
        frame: pd.DataFrame = self._con.execute(query, parameters or []).df()
        for column in [str(c) for c in frame if c in self._words]:
            codes = list(frame[column])
            for language in [lang for lang in LANGUAGES if f"{column}_{lang}" not in frame]:
                said = {code: self._said(column, code, language) for code in set(codes)}
                frame[f"{column}_{language}"] = [said[code] for code in codes]
        if {"group_type", "group_id"} <= {*frame}:
            pairs = list(zip(frame["group_type"], frame["group_id"], strict=True))
            for language in LANGUAGES:
                frame[f"group_type_{language}"] = [self._kind(kind, language) for kind, _ in pairs]
                frame[f"group_id_{language}"] = [
                    WHOLE[language]
                    if group == "all"
                    else self._groups.get((kind, group), {}).get(language, group)
                    for kind, group in pairs
                ]
        for column in [c for c in LISTS if c in frame and not pd.api.types.is_numeric_dtype(frame[c])]:
            for language, between in (("en", ", "), ("zh", "、")):
                frame[f"{column}_{language}"] = [
                    between.join(self._labels.get(i, {}).get(language, i) for i in listed.split("|"))
                    if isinstance(listed, str)
                    else None
                    for listed in frame[column]
                ]
        return frame

    def _said(self, column: str, code: Any, language: Language) -> Any:
        """Words of a code or sentence; what has none is as it is."""
        words, text = self._words.get(column), str(code)
        said = text if words is None else words.said(text, language)
        return code if said == text else said

    def _kind(self, group_type: str, language: Language) -> str:
        """What households are grouped by."""
        if group_type in self._labels:
            return self._labels[group_type][language]
        return str(self._said("group_type", group_type, language))

    def has(self, table: str) -> bool:
        """True where the edition has the table."""
        schema, name = table.split(".")
        query = "select 1 from duckdb_tables() where schema_name = ? and table_name = ? and not internal"
        return self._con.execute(query, [schema, name]).fetchone() is not None

    def shown(self, table: Table) -> pd.DataFrame:
        """Rows of a table that its declaration has the report show."""
        assert table.report is not None
        where = " and ".join(f"{sql.identifier(column)} = ?" for column in table.report.where) or "true"
        frame = self._rows(
            f"select * from {sql.identifier(table.schema, table.name)} where {where}"
            f" order by {', '.join(map(sql.identifier, table.key))}",
            list(table.report.where.values()),
        )
        if {"model", "term"} <= {*frame}:
            for language in LANGUAGES:
                frame[f"term_{language}"] = [
                    self._term(row, language) for row in frame.to_dict(orient="records")
                ]
        return frame

    def _term(self, row: Mapping[Hashable, Any], language: Language) -> str:
        """What a term stands for: a wave, or what its row or the indicator of its name is labelled."""
        name, _, code = str(row["term"]).partition("=")
        if name == "wave":
            return f"{WAVE[language]}{self._said('wave', code, language)}"
        if "indicator_id" in row:
            return str(row[f"label_{language}"])
        return self._labels.get(name, {}).get(language, str(row["term"]))

    def _options(self) -> Options:
        row = self._con.execute(
            "select scheme, variant from analysis.sensitivity where is_reference and variant is not null limit 1"
        ).fetchone()
        if row is None:
            row = self._con.execute(
                "select scheme, variant from analysis.coupling_summary group by scheme, variant"
                " order by count(distinct survey_id) desc, scheme, variant limit 1"
            ).fetchone()
        return Options(*row) if row else Options("", "")

    def surveys(self) -> pd.DataFrame:
        """One row a survey."""
        return self._rows("select *, place as place_en from reference.surveys order by survey_id")

    def panels(self) -> pd.DataFrame:
        """Households of each wave of a panel by what became of them; none where the edition does not say it."""
        if not self.has("analysis.panel_waves"):
            return pd.DataFrame()
        rows = self._rows(
            """
            select region, wave, is_synthetic, n_households, n_stayed, n_left, n_new, n_returned, n_split, n_moved,
                n_in_all_waves, wave_before is null as is_first
            from analysis.panel_waves qualify count(*) over (partition by survey_id) > 1
            order by survey_id, wave_order
            """
        )
        # a count that nobody can have in the first wave makes no fraction of the others
        return rows.astype({c: "Int64" for c in rows if str(c).startswith("n_")})

    def headline(self) -> dict[str, int]:
        """Counts that open the report."""
        row = self._rows(
            """
            select
              (select count(*) from reference.surveys where status = 'accepted') as surveys,
              (select coalesce(sum(n_households), 0) from reference.surveys where status = 'accepted') as households,
              (select count(distinct indicator_id) from harmonized.coverage where n > 0) as indicators,
              (select count(*) from reference.published_statistics) as printed,
              (select count(*) from reference.published_findings) as findings
            """
        ).iloc[0]
        return {str(k): int(v) for k, v in row.items()}

    def coverage_by_dimension(self) -> pd.DataFrame:
        """Indicators with a value in each dimension, survey and wave."""
        return self._rows(
            """
            select c.survey_id, c.region, c.wave, c.wave_order, c.is_synthetic, d.dimension, d.display_order,
              d.label_en as dimension_en, d.label_zh as dimension_zh,
              d.system_label_en as system_en, d.system_label_zh as system_zh,
              count(*) as n_indicators,
              count(*) filter (where list_contains(?, c.status)) as n_covered,
              count(*) filter (where c.status = 'proxy') as n_proxy
            from harmonized.coverage c
            join reference.indicators i using (indicator_id)
            join reference.dimensions d on d.dimension = i.dimension
            group by all order by d.display_order, d.dimension, c.survey_id, c.wave_order
            """,
            [[*map(str, ANSWERED)]],
        )

    def coverage(self) -> pd.DataFrame:
        """Verdict on every indicator in each survey and wave."""
        return self._rows(
            """
            select c.survey_id, c.region, c.wave, c.wave_order, c.is_synthetic, c.indicator_id, i.display_order,
              i.label_en as indicator_en, i.label_zh as indicator_zh, c.status, c.evidence, c.n, c.n_missing,
              list_contains(?, c.status) as is_answered, d.system_label_en as system_en, d.system_label_zh as system_zh
            from harmonized.coverage c join reference.indicators i using (indicator_id)
            left join reference.dimensions d using (dimension)
            order by i.display_order, c.indicator_id, c.survey_id, c.wave_order
            """,
            [[*map(str, ANSWERED)]],
        )

    def comparison(self, table: str) -> pd.DataFrame:
        """Regions side by side on the metrics computed from `table`, each with the dimension it is the index of."""
        return self._rows(
            """
            select r.metric_id, r.evidence, r.source_id, r.region, r.wave, r.wave_order, r.is_synthetic,
              r.value, r.ci_low, r.ci_high, r.n, r.unit, r.status, r.n_indicators,
              r.n_indicators_defined, m.source_column,
              m.label_en as metric_en, m.label_zh as metric_zh, m.display_order, d.dimension, d.system
            from analysis.region_comparison r
            join reference.metric_definitions m using (metric_id)
            left join reference.dimensions d on d.dimension = m.dimension
            where m.source_table = ? and r.group_type = 'all' and r.value is not null
            order by m.display_order, m.metric_id, r.region, r.evidence, r.source_id, r.wave_order
            """,
            [table],
        )

    def coordination(self) -> pd.DataFrame:
        """Mean D of each survey and wave with its interval, and what else is known of the coupling."""
        return self._rows(
            """
            select r.source_id as survey_id, r.region, r.wave, r.wave_order, r.is_synthetic, r.n, r.value,
              r.ci_low, r.ci_high, r.status, r.n_indicators, r.n_indicators_defined, s.mean_c, s.mean_t, s.d_of_means
            from analysis.region_comparison r
            join reference.metric_definitions m using (metric_id)
            left join (
              select distinct survey_id, wave, mean_c, mean_t, d_of_means from analysis.coupling_summary
              where group_type = 'all' and scheme = ? and variant = ?
            ) s on s.survey_id = r.source_id and s.wave = r.wave
            where m.source_table = 'analysis.coupling_coordination' and m.source_column = 'd'
              and r.evidence = 'household' and r.group_type = 'all' and r.value is not null
            order by r.source_id, r.wave_order
            """,
            [self.options.scheme, self.options.variant],
        )

    def by_category(self, is_share: bool) -> pd.DataFrame:
        """What households of each code measure that a paper made a category of: mean D, or shares of yes.

        A row is a code of an indicator with a code list in the wave last asked, and a measure.
        """
        measured = "i.type = 'binary'" if is_share else "m.source_column = 'd'"
        return self._rows(
            f"""
            select r.region, r.wave, r.is_synthetic, r.metric_id, r.n, r.n_units, r.value, r.ci_low, r.ci_high,
              r.status, r.n_indicators, r.n_indicators_defined, r.group_type, r.group_id,
              coalesce(i.label_en, m.label_en) as metric_en, coalesce(i.label_zh, m.label_zh) as metric_zh,
              g.label_en as grouping_en, g.label_zh as grouping_zh, c.label_en as group_en, c.label_zh as group_zh
            from analysis.region_comparison r
            join reference.indicators g on g.indicator_id = r.group_type and g.type = 'category'
            join reference.codes c on c.code_list = g.code_list and c.code = r.group_id
            join reference.metric_definitions m using (metric_id)
            left join reference.indicators i on i.indicator_id = r.metric_id
            where r.evidence = 'household' and r.value is not null and {measured}
            qualify r.wave_order = max(r.wave_order) over (partition by r.source_id, r.group_type)
            order by r.region, g.display_order, c.display_order, m.display_order
            """
        )

    def bands(self, finest: bool) -> pd.DataFrame:
        """Households in each band of the scheme with the most (or the fewest) bands."""
        return self._rows(
            f"""
            select b.survey_id, b.region, b.wave, b.wave_order, b.is_synthetic, b.band, b.band_order, b.n, b.share,
              r.label_en as band_en, r.label_zh as band_zh, r.lower, r.upper
            from analysis.coupling_bands b join reference.bands r using (band_scheme, band)
            where b.group_type = 'all' and b.scheme = ? and b.variant = ? and b.band_scheme = (
              select band_scheme from reference.bands
              where band_scheme in (select band_scheme from analysis.coupling_bands)
              group by band_scheme order by count(*) {"desc" if finest else "asc"}, band_scheme limit 1)
            order by b.survey_id, b.wave_order, b.band_order
            """,
            [self.options.scheme, self.options.variant],
        )

    def flows(self) -> pd.DataFrame:
        """Households by band in one wave and the next, in the scheme with the fewest bands.

        A survey with suppressed flows is left out: the others would look like all of them.
        """
        return self._rows(
            """
            select t.survey_id, t.region, t.is_synthetic, t.wave_from, t.wave_to, t.n, t.share,
              f.band_order as order_from, f.label_en as from_en, f.label_zh as from_zh,
              u.band_order as order_to, u.label_en as to_en, u.label_zh as to_zh
            from analysis.coupling_transitions t
            join reference.bands f on f.band_scheme = t.band_scheme and f.band = t.band_from
            join reference.bands u on u.band_scheme = t.band_scheme and u.band = t.band_to
            where t.group_type = 'all' and t.scheme = ? and t.variant = ? and t.n > 0 and t.band_scheme = (
              select band_scheme from reference.bands
              where band_scheme in (select band_scheme from analysis.coupling_transitions)
              group by band_scheme order by count(*), band_scheme limit 1)
              and t.survey_id not in (select survey_id from analysis.coupling_transitions where n is null)
            order by t.survey_id, order_from, order_to
            """,
            [self.options.scheme, self.options.variant],
        )

    def coefficients(self, conventions: tuple[str, ...]) -> pd.DataFrame:
        """Coefficients without the constant, under the first of `conventions` that each model has."""
        return self._rows(
            """
            select c.survey_id, c.model, m.model_order, m.label_en as model_en, m.label_zh as model_zh, m.n, m.r2,
              c.covariance, c.term, c.term_order, c.is_synthetic,
              c.label_en as term_en, c.label_zh as term_zh,
              c.b, c.beta, c.p, c.stars, c.beta_ci_low as beta_low, c.beta_ci_high as beta_high,
              coalesce(s.region_label_en, v.label_en, c.survey_id) as survey_en,
              coalesce(s.region_label_zh, v.label_zh, c.survey_id) as survey_zh
            from analysis.regression_coefficients c
            join analysis.regression_models m using (survey_id, model, covariance)
            left join reference.surveys s using (survey_id)
            left join reference.value_labels v on v.column_name = 'survey_id' and v.code = c.survey_id
            where c.beta is not null and c.se > 0
            qualify list_position(?, c.covariance) is not null
              and list_position(?, c.covariance) = min(list_position(?, c.covariance))
                over (partition by c.survey_id, c.model)
            order by c.survey_id, m.model_order, c.term_order
            """,
            [list(conventions)] * 3,
        )

    def scales(self) -> pd.DataFrame:
        """Whether scales measure the same in all surveys, level by level, with the items that break a level."""
        return self._rows(
            """
            select v.model, v.estimator, v.level, v.surveys, v.n, v.cfi, v.rmsea, v.delta_cfi, v.delta_rmsea, v.holds,
              v.is_synthetic, v.items_to_blame
            from analysis.scale_invariance v where v.cfi is not null
            order by v.model, v.estimator, v.df
            """
        )

    def ranks(self) -> pd.DataFrame:
        """Share of option combinations in which each region takes each rank."""
        return self._rows(
            """
            select k.metric_id, k.wave, k.region, k.rank, k.n_combinations, k.share as share_of_combinations,
              k.is_synthetic,
              m.label_en as metric_en, m.label_zh as metric_zh, m.display_order
            from analysis.sensitivity_ranks k join reference.metric_definitions m using (metric_id)
            order by m.display_order, k.wave, k.region, k.rank
            """
        )

    def replication(self) -> pd.DataFrame:
        """Printed figures and what the warehouse computes in their place."""
        return self._rows(
            """
            select r.*, s.value as printed_again from quality.replication r
            left join reference.published_statistics s using (stat_id) order by r.stat_id
            """
        )

    def findings(self) -> pd.DataFrame:
        """Contradictions in the papers."""
        return self._rows(
            "select f.* exclude (statement, arithmetic), f.statement as statement_en, f.arithmetic as arithmetic_en,"
            " e.found_by"
            " from reference.published_findings f"
            " join quality.finding_evidence e using (finding_id) order by f.finding_id"
        )

    def plausibility(self) -> pd.DataFrame:
        """Verdicts of the arithmetic tests, counted."""
        return self._rows(
            "select region, test, verdict, count(*) as tests from quality.plausibility group by all order by all"
        )

    def loads(self) -> pd.DataFrame:
        """Files received."""
        return self._rows("select * from quality.loads order by survey_id, file_id")

    def quarantine(self) -> pd.DataFrame:
        """Rows and cells set aside."""
        return self._rows(
            'select survey_id, file, "row", "column", value, rule, message_en, message_zh, is_synthetic'
            " from quality.quarantine order by all limit 50"
        )

    def checks(self) -> pd.DataFrame:
        """Checks of this refresh, counted by source and result."""
        return self._rows(
            "select source, status, severity, count(*) as n_checks from quality.checks group by all order by all"
        )

    def failed_checks(self) -> pd.DataFrame:
        """Checks that failed; an error would have stopped the publication."""
        return self._rows(
            'select source, "check", "table", severity, n_failed, message from quality.checks'
            " where status <> 'passed' order by all limit 50"
        )

    def measures(self) -> pd.DataFrame:
        """Measures that have a value somewhere."""
        return self._rows(
            """
            select metric_id, label_en, label_zh, unit, formula as formula_en, formula_zh, direction,
              comparability_note as comparability_note_en, comparability_note_zh, dimension, source_table
            from reference.metric_definitions
            where metric_id in (select metric_id from analysis.region_comparison where value is not null)
            order by display_order, metric_id
            """
        )

    def values(self) -> pd.DataFrame:
        """Every compared value, by the choice of weights and indicators it rests on.

        `choice` is '' for the published choice, 'common' for the indicators that all surveys answer, and the id of a
        combination of options otherwise. A combination has no intervals.
        """
        rows = self._rows(
            """
            with compared as (
              select *, case evidence when 'household' then source_id else '' end as survey_id
              from analysis.region_comparison
            )
            select '' as choice, metric_id, evidence, source_id, survey_id, region, wave, wave_order,
              group_type, group_id,
              is_synthetic, value, ci_low, ci_high, n, n_units, unit_basis, status,
              n_indicators, n_indicators_defined, interval_reason, note, note_zh
            from compared where value is not null
            union all
            select 'common', metric_id, evidence, source_id, survey_id, region, wave, wave_order,
              group_type, group_id,
              is_synthetic, common_value, common_ci_low, common_ci_high, n, n_units, unit_basis, status,
              n_indicators_common, n_indicators_defined, null, note, note_zh
            from compared where common_value is not null
            union all
            select combination_id, metric_id, 'household', '', '', region, wave, 0, 'all', 'all',
              is_synthetic, value, null, null, null, null, null, null, null, null, null, null, null
            from analysis.sensitivity where value is not null
            order by all
            """
        )
        # the page has the words of groups once
        return rows[[c for c in rows if not str(c).startswith(("group_type_", "group_id_"))]]

    def groups(self) -> pd.DataFrame:
        """Words of sites and of the answers that households are grouped by."""
        rows: pd.DataFrame = self._con.execute(GROUPS).df()
        return rows

    def indicators(self) -> pd.DataFrame:
        """Indicators with their definitions and the words of their dimensions."""
        return self._rows(
            """
            select i.*, d.label_en as dimension_label_en, d.label_zh as dimension_label_zh
            from reference.indicators i left join reference.dimensions d using (dimension) order by i.display_order
            """
        )

    def questions(self) -> pd.DataFrame:
        """What each survey asks for an indicator: verdict, evidence, answers, and where the answer comes from."""
        return self._rows(
            """
            select c.indicator_id, c.survey_id, c.region, c.wave, c.wave_order, c.is_synthetic, c.status,
              c.evidence as basis, c.evidence_zh as basis_zh, x.sources, c.n, c.n_missing
            from harmonized.coverage c left join reference.crosswalk x using (survey_id, wave, indicator_id)
            order by c.indicator_id, c.survey_id, c.wave_order
            """
        )

    def columns_asked(self) -> pd.DataFrame:
        """Columns of the files received, each with its question where the file has one."""
        return self._rows('select survey_id, "column", label from quality.codebook order by all')

    def combinations(self) -> pd.DataFrame:
        """Combinations of options with the words of each option."""
        return self._rows(
            "select distinct combination_id, bounds, scheme, variant, band_scheme from analysis.sensitivity order by 1"
        )

    def largest_changes(self) -> pd.DataFrame:
        """Of each survey the capital that moved most from the first to the last wave, and the coordination degree."""
        return self._rows(
            """
            select c.*, m.label_en as metric_en, m.label_zh as metric_zh, d.dimension is null as is_coordination
            from analysis.index_changes c
            join reference.metric_definitions m using (metric_id)
            left join reference.dimensions d on d.dimension = m.dimension and d.system = 'capital'
            where c.value is not null and (d.dimension is not null
              or m.source_table = 'analysis.coupling_coordination' and m.source_column = 'd')
            qualify row_number() over (partition by c.survey_id, is_coordination order by abs(c.value) desc) = 1
            order by max(abs(c.value)) over (partition by c.survey_id) desc, c.survey_id, is_coordination
            """
        )

    def stuck(self) -> pd.DataFrame:
        """Households that stay in the lowest bands: of each survey all of them, then groups by their share."""
        return self._rows(
            """
            select * from analysis.stuck_households where value is not null and (group_type = 'all' or value > 0)
            qualify bool_or(group_type = 'all') over (partition by survey_id)
            order by survey_id, group_type = 'all' desc, value desc, n desc, group_type, group_id
            """
        )

    def missing_intervals(self) -> pd.DataFrame:
        """Values of households without an interval, counted by reason; reasons that differ in numbers alone are one."""
        rows = self._rows(
            """
            select interval_reason, count(*) as n_without,
              (select count(*) from analysis.region_comparison where evidence = 'household' and value is not null)
                as n_values, bool_or(is_synthetic) as is_synthetic
            from analysis.region_comparison
            where evidence = 'household' and value is not null and ci_low is null and interval_reason is not null
            group by interval_reason order by interval_reason
            """
        )
        if rows.empty:
            return rows
        counted = rows.groupby(rows["interval_reason"].str.replace(_NUMBER, "#", regex=True)).agg(
            n_without=("n_without", "sum"),
            n_values=("n_values", "first"),
            is_synthetic=("is_synthetic", "any"),
            interval_reason_en=("interval_reason_en", lambda said: in_one_range(said, " to ")),
            interval_reason_zh=("interval_reason_zh", lambda said: in_one_range(said, "至")),
        )
        return counted.sort_values("n_without", ascending=False, kind="stable")

    def untested(self) -> dict[str, int]:
        """Differences between the means of two regions, and how many have no test over all or the common questions."""
        row = self._rows(
            """
            select count(*) as n_tests, count(reason) as n_without,
              count(reason) filter (where indicator_set = 'all') as n_other_content,
              count(reason) filter (where indicator_set = 'common') as n_few_units,
              coalesce(bool_or(is_synthetic), false) as is_synthetic
            from analysis.region_tests where test = 'welch'
            """
        ).iloc[0]
        return {str(k): int(v) for k, v in row.items()}

    def widest_gap(self, table: str) -> pd.DataFrame:
        """Pair of regions that differ most on a metric of `table` over the questions that both asked, if any."""
        return self._rows(
            """
            select t.estimate as value, t.subject, t.ci_low, t.ci_high, t.n_indicators, t.n_indicators_defined,
              t.is_synthetic, t.reason, m.label_en as metric_en, m.label_zh as metric_zh,
              split_part(t.contrast, '|', 1) as region,
              any_value(s.region_label_en) as other_en, any_value(s.region_label_zh) as other_zh
            from analysis.region_tests t join reference.metric_definitions m on m.metric_id = t.subject
            join reference.surveys s on s.region = split_part(t.contrast, '|', 2)
            where t.test = 'welch' and t.indicator_set = 'common' and t.estimate is not null and m.source_table = ?
            group by all order by abs(any_value(t.estimate)) desc, t.subject limit 1
            """,
            [table],
        )

    def first_obstacles(self) -> pd.DataFrame:
        """Indicator with the largest mean obstacle degree in each system, in the last wave of each survey."""
        return self._rows(
            """
            select o.survey_id, o.region, o.wave, o.is_synthetic, o.degree, i.label_en as indicator_en,
              i.label_zh as indicator_zh, d.system_label_en as system_en, d.system_label_zh as system_zh
            from analysis.obstacle_degrees o
            join reference.indicators i using (indicator_id)
            join reference.dimensions d on d.dimension = o.dimension
            where o.group_type = 'all' and o.scheme = ? and o.rank = 1 and o.degree is not null
            qualify o.wave_order = max(o.wave_order) over (partition by o.survey_id)
            order by o.survey_id, d.display_order
            """,
            [self.options.scheme],
        )
