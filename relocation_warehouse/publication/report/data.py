"""What the report shows, read from a published database.

Belongs here: one query for each figure or table, as a data frame with labels in both languages. Does not belong
here: drawing (`figures`), wording (`page`), and any table that only one edition has, except where it is asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import duckdb
import pandas as pd

from relocation_warehouse.contract.tables import Table
from relocation_warehouse.ground import sql
from relocation_warehouse.survey.vocabulary import ANSWERED

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, Language] = ("en", "zh")


GROUPS = """
    SELECT 'site' AS group_type, site_id AS group_id, label_en, label_zh FROM reference.sites
    UNION ALL
    SELECT i.indicator_id, c.code, c.label_en, c.label_zh
    FROM reference.indicators i JOIN reference.codes c USING (code_list)
    UNION ALL
    SELECT code_list, code, label_en, label_zh FROM reference.codes
"""
"""Words of sites and of the answers that households are grouped by."""

NUMBER = re.compile(r"\d+(?:\.\d+)?")

INDICATOR_LISTS = ("obstacles", "items_to_blame")
"""Columns that name indicators, separated by a bar."""

WHOLE: dict[Language, str] = {"en": "all", "zh": "全体"}


def localise(frame: pd.DataFrame, language: Language) -> pd.DataFrame:
    """Keep the labels of one language: `x_en` and `x_zh` become `x`, in place of an id of that name."""
    other = "zh" if language == "en" else "en"
    labelled = {c.removesuffix(f"_{language}") for c in frame.columns if c.endswith(f"_{language}")}
    kept = frame[[c for c in frame.columns if not c.endswith(f"_{other}") and c not in labelled]]
    return kept.rename(columns={c: c.removesuffix(f"_{language}") for c in kept.columns})


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
            "SELECT region, min(region_label_en) AS region_en, min(region_label_zh) AS region_zh"
            " FROM reference.surveys GROUP BY region ORDER BY min(survey_id)"
        ).df()
        words = con.execute(
            "SELECT column_name, code, label_en, label_zh FROM reference.value_labels"
        ).fetchall()
        regions = [("region", *row) for row in self.regions.itertuples(index=False)]
        self._words: dict[str, dict[str, dict[Language, str]]] = {}
        for column, code, en, zh in [*words, *regions]:
            self._words.setdefault(column, {})[code.lower()] = {"en": en, "zh": zh}
        self._words["interval_reason"] = self._words.get("reason", {}) | self._words.get(
            "interval_reason", {}
        )
        self._groups: dict[tuple[str, str], dict[Language, str]] = {
            (kind, group): {"en": en, "zh": zh} for kind, group, en, zh in con.execute(GROUPS).fetchall()
        }
        self._labels: dict[str, dict[Language, str]] = {
            name: {"en": en, "zh": zh}
            for name, en, zh in con.execute(
                "SELECT indicator_id, label_en, label_zh FROM reference.indicators"
            ).fetchall()
        }
        self.options = self._options()

    def _rows(self, query: str, parameters: list[object] | None = None) -> pd.DataFrame:
        """Answer of a query, with the words of codes and regions in column `x` as `x_en` and `x_zh`.

        So have groups, units of change and lists of indicators. What has no word stands for itself. Papers write
        regions with a capital.
        """
        frame: pd.DataFrame = self._con.execute(query, parameters or []).df()
        for column in [str(c) for c in frame if c in self._words]:
            for language in LANGUAGES:
                frame[f"{column}_{language}"] = [self._said(column, code, language) for code in frame[column]]
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
        for column in [c for c in INDICATOR_LISTS if c in frame]:
            for language, between in (("en", ", "), ("zh", "、")):
                frame[f"{column}_{language}"] = [
                    between.join(self._labels.get(i, {}).get(language, i) for i in listed.split("|"))
                    if isinstance(listed, str)
                    else None
                    for listed in frame[column]
                ]
        return frame

    def _said(self, column: str, code: Any, language: Language) -> Any:
        """Word of a code. A sentence with numbers has its words under the sentence with # in their place."""
        words, key = self._words[column], str(code).lower()
        if key not in words and (numbers := NUMBER.findall(key)):
            pattern = words.get(NUMBER.sub("#", key), {}).get(language)
            if pattern is not None and pattern.count("#") == len(numbers):
                for number in numbers:
                    pattern = pattern.replace("#", number, 1)
                return pattern
        return words.get(key, {}).get(language, code)

    def _kind(self, group_type: str, language: Language) -> str:
        """What households are grouped by."""
        words = self._words.get("group_type", {})
        return (words.get(group_type) or self._labels.get(group_type, {})).get(language, group_type)

    def has(self, table: str) -> bool:
        """True where the edition has the table."""
        schema, name = table.split(".")
        query = "SELECT 1 FROM duckdb_tables() WHERE schema_name = ? AND table_name = ? AND NOT internal"
        return self._con.execute(query, [schema, name]).fetchone() is not None

    def shown(self, table: Table) -> pd.DataFrame:
        """Rows of a table that its declaration has the report show."""
        assert table.report is not None
        where = " AND ".join(f"{sql.identifier(column)} = ?" for column in table.report.where) or "true"
        return self._rows(
            f"SELECT * FROM {sql.identifier(table.schema, table.name)} WHERE {where}"
            f" ORDER BY {', '.join(map(sql.identifier, table.key))}",
            list(table.report.where.values()),
        )

    def _options(self) -> Options:
        row = self._con.execute(
            "SELECT scheme, variant FROM analysis.sensitivity WHERE is_reference AND variant IS NOT NULL LIMIT 1"
        ).fetchone()
        if row is None:
            row = self._con.execute(
                "SELECT scheme, variant FROM analysis.coupling_summary GROUP BY scheme, variant"
                " ORDER BY count(DISTINCT survey_id) DESC, scheme, variant LIMIT 1"
            ).fetchone()
        return Options(*row) if row else Options("", "")

    def surveys(self) -> pd.DataFrame:
        """One row a survey."""
        return self._rows("SELECT * FROM reference.surveys ORDER BY survey_id")

    def panels(self) -> pd.DataFrame:
        """Households of each wave of a panel by what became of them; none where the edition does not say it."""
        if not self.has("analysis.panel_waves"):
            return pd.DataFrame()
        found = self._rows(
            """
            SELECT region, wave, is_synthetic, n_households, n_stayed, n_left, n_new, n_returned, n_split, n_moved,
                n_in_all_waves, wave_before IS NULL AS is_first
            FROM analysis.panel_waves QUALIFY count(*) OVER (PARTITION BY survey_id) > 1
            ORDER BY survey_id, wave_order
            """
        )
        # a count that nobody can have in the first wave makes no fraction of the others
        return found.astype({c: "Int64" for c in found if str(c).startswith("n_")})

    def headline(self) -> dict[str, int]:
        """Counts that open the report."""
        row = self._rows(
            """
            SELECT
              (SELECT count(*) FROM reference.surveys WHERE status = 'accepted') AS surveys,
              (SELECT coalesce(sum(n_households), 0) FROM reference.surveys WHERE status = 'accepted') AS households,
              (SELECT count(DISTINCT indicator_id) FROM harmonized.coverage WHERE n > 0) AS indicators,
              (SELECT count(*) FROM reference.published_statistics) AS printed,
              (SELECT count(*) FROM reference.published_findings) AS findings
            """
        ).iloc[0]
        return {str(k): int(v) for k, v in row.items()}

    def coverage_by_dimension(self) -> pd.DataFrame:
        """Indicators with a value in each dimension, survey and wave."""
        return self._rows(
            """
            SELECT c.survey_id, c.region, c.wave, c.wave_order, c.is_synthetic, d.dimension, d.display_order,
              d.label_en AS dimension_en, d.label_zh AS dimension_zh,
              d.system_label_en AS system_en, d.system_label_zh AS system_zh,
              count(*) AS n_indicators,
              count(*) FILTER (WHERE list_contains(?, c.status)) AS n_covered,
              count(*) FILTER (WHERE c.status = 'proxy') AS n_proxy
            FROM harmonized.coverage c
            JOIN reference.indicators i USING (indicator_id)
            JOIN reference.dimensions d ON d.dimension = i.dimension
            GROUP BY ALL ORDER BY d.display_order, c.survey_id, c.wave_order
            """,
            [[*map(str, ANSWERED)]],
        )

    def coverage(self) -> pd.DataFrame:
        """Verdict on every indicator in each survey and wave."""
        return self._rows(
            """
            SELECT c.survey_id, c.region, c.wave, c.wave_order, c.is_synthetic, c.indicator_id, i.display_order,
              i.label_en AS indicator_en, i.label_zh AS indicator_zh, c.status, c.evidence, c.n, c.n_missing,
              list_contains(?, c.status) AS is_answered
            FROM harmonized.coverage c JOIN reference.indicators i USING (indicator_id)
            ORDER BY i.display_order, c.survey_id, c.wave_order
            """,
            [[*map(str, ANSWERED)]],
        )

    def comparison(self, table: str) -> pd.DataFrame:
        """Regions side by side on the metrics computed from `table`, each with the dimension it is the index of."""
        return self._rows(
            """
            SELECT r.metric_id, r.evidence, r.source_id, r.region, r.wave, r.wave_order, r.is_synthetic,
              r.value, r.ci_low, r.ci_high, r.n, r.unit, r.status, r.n_indicators,
              r.n_indicators_defined, m.source_column,
              m.label_en AS metric_en, m.label_zh AS metric_zh, m.display_order, d.dimension, d.system
            FROM analysis.region_comparison r
            JOIN reference.metric_definitions m USING (metric_id)
            LEFT JOIN reference.dimensions d ON d.dimension = m.dimension
            WHERE m.source_table = ? AND r.group_type = 'all' AND r.value IS NOT NULL
            ORDER BY m.display_order, r.region, r.evidence, r.wave_order
            """,
            [table],
        )

    def coordination(self) -> pd.DataFrame:
        """Mean D of each survey and wave with its interval, and what else is known of the coupling."""
        return self._rows(
            """
            SELECT r.source_id AS survey_id, r.region, r.wave, r.wave_order, r.is_synthetic, r.n, r.value,
              r.ci_low, r.ci_high, r.status, r.n_indicators, r.n_indicators_defined, s.mean_c, s.mean_t, s.d_of_means
            FROM analysis.region_comparison r
            JOIN reference.metric_definitions m USING (metric_id)
            LEFT JOIN (
              SELECT DISTINCT survey_id, wave, mean_c, mean_t, d_of_means FROM analysis.coupling_summary
              WHERE group_type = 'all' AND scheme = ? AND variant = ?
            ) s ON s.survey_id = r.source_id AND s.wave = r.wave
            WHERE m.source_table = 'analysis.coupling_coordination' AND m.source_column = 'd'
              AND r.evidence = 'household' AND r.group_type = 'all' AND r.value IS NOT NULL
            ORDER BY r.source_id, r.wave_order
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
            SELECT r.region, r.wave, r.is_synthetic, r.metric_id, r.n, r.n_units, r.value, r.ci_low, r.ci_high,
              r.status, r.n_indicators, r.n_indicators_defined, r.group_type, r.group_id,
              coalesce(i.label_en, m.label_en) AS metric_en, coalesce(i.label_zh, m.label_zh) AS metric_zh,
              g.label_en AS grouping_en, g.label_zh AS grouping_zh, c.label_en AS group_en, c.label_zh AS group_zh
            FROM analysis.region_comparison r
            JOIN reference.indicators g ON g.indicator_id = r.group_type AND g.type = 'category'
            JOIN reference.codes c ON c.code_list = g.code_list AND c.code = r.group_id
            JOIN reference.metric_definitions m USING (metric_id)
            LEFT JOIN reference.indicators i ON i.indicator_id = r.metric_id
            WHERE r.evidence = 'household' AND r.value IS NOT NULL AND {measured}
            QUALIFY r.wave_order = max(r.wave_order) OVER (PARTITION BY r.source_id, r.group_type)
            ORDER BY r.region, g.display_order, c.display_order, m.display_order
            """
        )

    def bands(self, finest: bool) -> pd.DataFrame:
        """Households in each band of the scheme with the most (or the fewest) bands."""
        return self._rows(
            f"""
            SELECT b.survey_id, b.region, b.wave, b.wave_order, b.is_synthetic, b.band, b.band_order, b.n, b.share,
              r.label_en AS band_en, r.label_zh AS band_zh, r.lower, r.upper
            FROM analysis.coupling_bands b JOIN reference.bands r USING (band_scheme, band)
            WHERE b.group_type = 'all' AND b.scheme = ? AND b.variant = ? AND b.band_scheme = (
              SELECT band_scheme FROM reference.bands
              WHERE band_scheme IN (SELECT band_scheme FROM analysis.coupling_bands)
              GROUP BY band_scheme ORDER BY count(*) {"DESC" if finest else "ASC"}, band_scheme LIMIT 1)
            ORDER BY b.survey_id, b.wave_order, b.band_order
            """,
            [self.options.scheme, self.options.variant],
        )

    def flows(self) -> pd.DataFrame:
        """Households by band in one wave and the next, in the scheme with the fewest bands.

        A survey with suppressed flows is left out: the others would look like all of them.
        """
        return self._rows(
            """
            SELECT t.survey_id, t.region, t.is_synthetic, t.wave_from, t.wave_to, t.n, t.share,
              f.band_order AS order_from, f.label_en AS from_en, f.label_zh AS from_zh,
              u.band_order AS order_to, u.label_en AS to_en, u.label_zh AS to_zh
            FROM analysis.coupling_transitions t
            JOIN reference.bands f ON f.band_scheme = t.band_scheme AND f.band = t.band_from
            JOIN reference.bands u ON u.band_scheme = t.band_scheme AND u.band = t.band_to
            WHERE t.group_type = 'all' AND t.scheme = ? AND t.variant = ? AND t.n > 0 AND t.band_scheme = (
              SELECT band_scheme FROM reference.bands
              WHERE band_scheme IN (SELECT band_scheme FROM analysis.coupling_transitions)
              GROUP BY band_scheme ORDER BY count(*), band_scheme LIMIT 1)
              AND t.survey_id NOT IN (SELECT survey_id FROM analysis.coupling_transitions WHERE n IS NULL)
            ORDER BY t.survey_id, order_from, order_to
            """,
            [self.options.scheme, self.options.variant],
        )

    def coefficients(self, conventions: tuple[str, ...]) -> pd.DataFrame:
        """Coefficients without the constant, under the first of `conventions` that each model has."""
        return self._rows(
            """
            SELECT c.survey_id, c.model, m.model_order, m.label_en AS model_en, m.label_zh AS model_zh, m.n, m.r2,
              c.covariance, c.term, c.term_order, c.is_synthetic,
              c.label_en AS term_en, c.label_zh AS term_zh,
              c.b, c.beta, c.p, c.stars, c.beta_ci_low AS beta_low, c.beta_ci_high AS beta_high,
              coalesce(s.region_label_en, v.label_en, c.survey_id) AS survey_en,
              coalesce(s.region_label_zh, v.label_zh, c.survey_id) AS survey_zh
            FROM analysis.regression_coefficients c
            JOIN analysis.regression_models m USING (survey_id, model, covariance)
            LEFT JOIN reference.surveys s USING (survey_id)
            LEFT JOIN reference.value_labels v ON v.column_name = 'survey_id' AND v.code = c.survey_id
            WHERE c.beta IS NOT NULL AND c.se > 0
            QUALIFY list_position(?, c.covariance) IS NOT NULL
              AND list_position(?, c.covariance) = min(list_position(?, c.covariance))
                OVER (PARTITION BY c.survey_id, c.model)
            ORDER BY c.survey_id, m.model_order, c.term_order
            """,
            [list(conventions)] * 3,
        )

    def scales(self) -> pd.DataFrame:
        """Whether scales measure the same in all surveys, level by level, with the items that break a level."""
        return self._rows(
            """
            SELECT v.model, v.estimator, v.level, v.surveys, v.n, v.cfi, v.rmsea, v.delta_cfi, v.delta_rmsea, v.holds,
              v.is_synthetic, v.items_to_blame
            FROM analysis.scale_invariance v WHERE v.cfi IS NOT NULL
            ORDER BY v.model, v.estimator, v.df
            """
        )

    def ranks(self) -> pd.DataFrame:
        """Share of option combinations in which each region takes each rank."""
        return self._rows(
            """
            SELECT k.metric_id, k.wave, k.region, k.rank, k.n_combinations, k.share AS share_of_combinations,
              k.is_synthetic,
              m.label_en AS metric_en, m.label_zh AS metric_zh, m.display_order
            FROM analysis.sensitivity_ranks k JOIN reference.metric_definitions m USING (metric_id)
            ORDER BY m.display_order, k.wave, k.region, k.rank
            """
        )

    def replication(self) -> pd.DataFrame:
        """Printed figures and what the warehouse computes in their place."""
        return self._rows(
            """
            SELECT r.*, s.value AS printed_again FROM quality.replication r
            LEFT JOIN reference.published_statistics s USING (stat_id) ORDER BY r.stat_id
            """
        )

    def findings(self) -> pd.DataFrame:
        """Contradictions in the papers."""
        return self._rows(
            "SELECT f.* EXCLUDE (statement), f.statement AS statement_en, e.found_by"
            " FROM reference.published_findings f"
            " JOIN quality.finding_evidence e USING (finding_id) ORDER BY f.finding_id"
        )

    def plausibility(self) -> pd.DataFrame:
        """Verdicts of the arithmetic tests, counted."""
        return self._rows(
            "SELECT region, test, verdict, count(*) AS tests FROM quality.plausibility GROUP BY ALL ORDER BY ALL"
        )

    def loads(self) -> pd.DataFrame:
        """Files received."""
        return self._rows("SELECT * FROM quality.loads ORDER BY survey_id, file_id")

    def quarantine(self) -> pd.DataFrame:
        """Rows and cells set aside."""
        return self._rows(
            'SELECT survey_id, file, "row", "column", value, rule, message_en, message_zh, is_synthetic'
            " FROM quality.quarantine ORDER BY ALL LIMIT 50"
        )

    def checks(self) -> pd.DataFrame:
        """Checks of this refresh, counted by source and result."""
        return self._rows(
            "SELECT source, status, severity, count(*) AS n_checks FROM quality.checks GROUP BY ALL ORDER BY ALL"
        )

    def failed_checks(self) -> pd.DataFrame:
        """Checks that failed; an error would have stopped the publication."""
        return self._rows(
            'SELECT source, "check", "table", severity, n_failed, message FROM quality.checks'
            " WHERE status <> 'passed' ORDER BY ALL LIMIT 50"
        )

    def measures(self) -> pd.DataFrame:
        """Measures that have a value somewhere."""
        return self._rows(
            """
            SELECT metric_id, label_en, label_zh, unit, formula AS formula_en, formula_zh, direction,
              comparability_note AS comparability_note_en, comparability_note_zh, dimension, source_table
            FROM reference.metric_definitions
            WHERE metric_id IN (SELECT metric_id FROM analysis.region_comparison WHERE value IS NOT NULL)
            ORDER BY display_order, metric_id
            """
        )

    def values(self) -> pd.DataFrame:
        """Every compared value, by the choice of weights and indicators it rests on.

        `choice` is '' for the published choice, 'common' for the indicators that all surveys answer, and the id of a
        combination of options otherwise. A combination has no intervals.
        """
        found = self._rows(
            """
            WITH compared AS (
              SELECT *, CASE evidence WHEN 'household' THEN source_id ELSE '' END AS survey_id
              FROM analysis.region_comparison
            )
            SELECT '' AS choice, metric_id, evidence, source_id, survey_id, region, wave, wave_order,
              group_type, group_id,
              is_synthetic, value, ci_low, ci_high, n, n_units, unit_basis, status,
              n_indicators, n_indicators_defined, interval_reason, note
            FROM compared WHERE value IS NOT NULL
            UNION ALL
            SELECT 'common', metric_id, evidence, source_id, survey_id, region, wave, wave_order,
              group_type, group_id,
              is_synthetic, common_value, common_ci_low, common_ci_high, n, n_units, unit_basis, status,
              n_indicators_common, n_indicators_defined, NULL, note
            FROM compared WHERE common_value IS NOT NULL
            UNION ALL
            SELECT combination_id, metric_id, 'household', '', '', region, wave, 0, 'all', 'all',
              is_synthetic, value, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
            FROM analysis.sensitivity WHERE value IS NOT NULL
            ORDER BY ALL
            """
        )
        # the page has the words of groups once
        return found[[c for c in found if not str(c).startswith(("group_type_", "group_id_"))]]

    def groups(self) -> pd.DataFrame:
        """Words of sites and of the answers that households are grouped by."""
        found: pd.DataFrame = self._con.execute(GROUPS).df()
        return found

    def indicators(self) -> pd.DataFrame:
        """Indicators with their definitions and the words of their dimensions."""
        return self._rows(
            """
            SELECT i.*, d.label_en AS dimension_label_en, d.label_zh AS dimension_label_zh
            FROM reference.indicators i LEFT JOIN reference.dimensions d USING (dimension) ORDER BY i.display_order
            """
        )

    def questions(self) -> pd.DataFrame:
        """What each survey asks for an indicator: verdict, reason, answers, and where the answer comes from."""
        return self._rows(
            """
            SELECT c.indicator_id, c.survey_id, c.region, c.wave, c.wave_order, c.is_synthetic, c.status,
              c.evidence AS reason,
              x.sources, c.n, c.n_missing
            FROM harmonized.coverage c LEFT JOIN reference.crosswalk x USING (survey_id, wave, indicator_id)
            ORDER BY c.indicator_id, c.survey_id, c.wave_order
            """
        )

    def columns_asked(self) -> pd.DataFrame:
        """Columns of the files received, each with its question where the file has one."""
        return self._rows('SELECT survey_id, "column", label FROM quality.codebook ORDER BY ALL')

    def combinations(self) -> pd.DataFrame:
        """Combinations of options with the words of each option."""
        return self._rows(
            "SELECT DISTINCT combination_id, bounds, scheme, variant, band_scheme FROM analysis.sensitivity ORDER BY 1"
        )

    def largest_changes(self) -> pd.DataFrame:
        """Of each survey the capital that moved most from the first to the last wave, and the coordination degree."""
        return self._rows(
            """
            SELECT c.*, m.label_en AS metric_en, m.label_zh AS metric_zh, d.dimension IS NULL AS is_coordination
            FROM analysis.index_changes c
            JOIN reference.metric_definitions m USING (metric_id)
            LEFT JOIN reference.dimensions d ON d.dimension = m.dimension AND d.system = 'capital'
            WHERE c.value IS NOT NULL AND (d.dimension IS NOT NULL
              OR m.source_table = 'analysis.coupling_coordination' AND m.source_column = 'd')
            QUALIFY row_number() OVER (PARTITION BY c.survey_id, is_coordination ORDER BY abs(c.value) DESC) = 1
            ORDER BY max(abs(c.value)) OVER (PARTITION BY c.survey_id) DESC, c.survey_id, is_coordination
            """
        )

    def stuck(self) -> pd.DataFrame:
        """Households that stay in the lowest bands: of each survey all of them, then groups by their share."""
        return self._rows(
            """
            SELECT * FROM analysis.stuck_households WHERE value IS NOT NULL AND (group_type = 'all' OR value > 0)
            QUALIFY bool_or(group_type = 'all') OVER (PARTITION BY survey_id)
            ORDER BY survey_id, group_type = 'all' DESC, value DESC, n DESC, group_type, group_id
            """
        )

    def missing_intervals(self) -> pd.DataFrame:
        """Values of households without an interval, counted by the reason that their rows give."""
        return self._rows(
            """
            SELECT interval_reason, count(*) AS n_without,
              (SELECT count(*) FROM analysis.region_comparison WHERE evidence = 'household' AND value IS NOT NULL)
                AS n_values, bool_or(is_synthetic) AS is_synthetic
            FROM analysis.region_comparison
            WHERE evidence = 'household' AND value IS NOT NULL AND ci_low IS NULL AND interval_reason IS NOT NULL
            GROUP BY interval_reason ORDER BY n_without DESC
            """
        )

    def untested(self) -> dict[str, int]:
        """Differences between the means of two regions, and how many have no test over all or the common questions."""
        row = self._rows(
            """
            SELECT count(*) AS n_tests, count(reason) AS n_without,
              count(reason) FILTER (WHERE indicator_set = 'all') AS n_other_content,
              count(reason) FILTER (WHERE indicator_set = 'common') AS n_few_units,
              coalesce(bool_or(is_synthetic), false) AS is_synthetic
            FROM analysis.region_tests WHERE test = 'welch'
            """
        ).iloc[0]
        return {str(k): int(v) for k, v in row.items()}

    def widest_gap(self, table: str) -> pd.DataFrame:
        """Pair of regions that differ most on a metric of `table` over the questions that both asked, if any."""
        return self._rows(
            """
            SELECT t.estimate AS value, t.subject, t.ci_low, t.ci_high, t.n_indicators, t.n_indicators_defined,
              t.is_synthetic, t.reason, m.label_en AS metric_en, m.label_zh AS metric_zh,
              split_part(t.contrast, '|', 1) AS region,
              any_value(s.region_label_en) AS other_en, any_value(s.region_label_zh) AS other_zh
            FROM analysis.region_tests t JOIN reference.metric_definitions m ON m.metric_id = t.subject
            JOIN reference.surveys s ON s.region = split_part(t.contrast, '|', 2)
            WHERE t.test = 'welch' AND t.indicator_set = 'common' AND t.estimate IS NOT NULL AND m.source_table = ?
            GROUP BY ALL ORDER BY abs(any_value(t.estimate)) DESC, t.subject LIMIT 1
            """,
            [table],
        )

    def first_obstacles(self) -> pd.DataFrame:
        """Indicator with the largest mean obstacle degree in each system, in the last wave of each survey."""
        return self._rows(
            """
            SELECT o.survey_id, o.region, o.wave, o.is_synthetic, o.degree, i.label_en AS indicator_en,
              i.label_zh AS indicator_zh, d.system_label_en AS system_en, d.system_label_zh AS system_zh
            FROM analysis.obstacle_degrees o
            JOIN reference.indicators i USING (indicator_id)
            JOIN reference.dimensions d ON d.dimension = o.dimension
            WHERE o.group_type = 'all' AND o.scheme = ? AND o.rank = 1 AND o.degree IS NOT NULL
            QUALIFY o.wave_order = max(o.wave_order) OVER (PARTITION BY o.survey_id)
            ORDER BY o.survey_id, d.display_order
            """,
            [self.options.scheme],
        )
