"""Printed evidence: the papers' figures, sites, variables, categories and contradictions, read from `data/literature`.

Belongs here: the CSV files as checked rows, the tables of the `reference` schema made from them, and which figure of
the warehouse each printed statistic is to be compared with.
Does not belong here: household answers (never mixed with these), tests of the figures (`analysis`), recomputation.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from analysis.claims import RULES, Outcome, check
from analysis.printed_figures import SEPARATED
from relocation_warehouse.survey.catalog import Catalog, Kind, ReplicationRule
from relocation_warehouse.survey.problems import Problem
from relocation_warehouse.survey.vocabulary import ANSWERED

Row = Mapping[str, str]

FILES: dict[str, tuple[str, ...]] = {
    "context.csv": ("stat_id", "metric_id", "multiplier", "period", "period_zh", "note", "note_zh"),
    "surveys.csv": (
        *("survey_id", "region", "place", "fieldwork_date", "questionnaires_distributed"),
        *(
            "questionnaires_valid",
            "response_rate_pct",
            "n_sites",
            "sampling",
            "instrument",
            "waves",
            "methods",
        ),
        *("authors", "year", "title", "journal", "doi", "citation_origin", "source_file", "note", "note_zh"),
    ),
    "sites.csv": (
        *("site_id", "region", "prefecture_or_city", "county", "site_name", "resettlement_type"),
        *("type_as_printed", "households", "persons", "sampled_questionnaires", "share_of_survey_pct"),
        *("published_sampling_proportion_pct", "recomputed_sampling_proportion_pct", "distance_class"),
        *("source_file", "note", "note_zh"),
    ),
    "statistics.csv": (
        *("stat_id", "region", "source_file", "table_or_section", "wave", "group", "model", "dependent"),
        *("variable", "reference_category", "statistic", "value", "unit", "quality", "note", "note_zh"),
    ),
    "indicators.csv": (
        *("indicator_id", "region", "system", "dimension", "indicator", "measurement", "direction"),
        *("direction_basis", "weight", "source_file", "section", "note", "note_zh"),
    ),
    "indicator_map.csv": (
        *("published_indicator_id", "indicator_id", "metric_id", "match"),
        *("not_mapped_reason", "not_mapped_reason_zh", "note", "note_zh"),
    ),
    "qualitative.csv": (
        *("code", "category_type", "parent_code", "label", "region", "source_file", "section"),
        *("resources_or_conditions", "place_examples", "figures", "suggested_measure"),
        *(
            "stage_code",
            "answers",
            "indicator_id",
            "site_id",
            "survey_indicator_id",
            "survey_code",
            "claim_ids",
        ),
    ),
    "findings.csv": (
        "finding_id",
        "region",
        "strength",
        "statement",
        "statement_zh",
        "arithmetic",
        "arithmetic_zh",
        "calibration",
        "stat_ids",
    ),
    "derived_checks.csv": (
        *("check_id", "region", "source_file", "quantity", "value", "unit", "method", "confidence"),
        "related_inconsistency",
    ),
    "readings.csv": ("stat_id", "value", "unit", "finding_id", "reason", "reason_zh"),
    "made_to_match.csv": ("stat_id", "survey_id", "target_id"),
    "claims.csv": (
        *("claim_id", "region", "source_file", "section", "statement", "statement_zh", "kind", "subject"),
        *("among", "value", "stat_id", "finding_id"),
    ),
}
"""Every file of the folder with its columns; the first column is the key."""

NUMBERS = {
    "context.csv": ("multiplier",),
    "surveys.csv": (
        "questionnaires_distributed",
        "questionnaires_valid",
        "response_rate_pct",
        "n_sites",
        "year",
    ),
    "sites.csv": ("households", "persons", "sampled_questionnaires"),
    "readings.csv": ("value",),
}
"""Columns that must be a number or empty."""

REFERENCES = (
    ("statistics.csv", "source_file", "surveys.csv", "source_file"),
    ("sites.csv", "source_file", "surveys.csv", "source_file"),
    ("indicators.csv", "source_file", "surveys.csv", "source_file"),
    ("qualitative.csv", "source_file", "surveys.csv", "source_file"),
    ("qualitative.csv", "parent_code", "qualitative.csv", "code"),
    ("derived_checks.csv", "source_file", "surveys.csv", "source_file"),
    ("indicator_map.csv", "published_indicator_id", "indicators.csv", "indicator_id"),
    ("indicators.csv", "indicator_id", "indicator_map.csv", "published_indicator_id"),
    ("readings.csv", "stat_id", "statistics.csv", "stat_id"),
    ("readings.csv", "finding_id", "findings.csv", "finding_id"),
    ("context.csv", "stat_id", "statistics.csv", "stat_id"),
    ("made_to_match.csv", "stat_id", "statistics.csv", "stat_id"),
    ("claims.csv", "source_file", "surveys.csv", "source_file"),
    ("claims.csv", "stat_id", "statistics.csv", "stat_id"),
    ("claims.csv", "finding_id", "findings.csv", "finding_id"),
    ("qualitative.csv", "stage_code", "qualitative.csv", "code"),
    ("qualitative.csv", "site_id", "sites.csv", "site_id"),
)
"""(file, column) whose values must stand in (file, column)."""

LISTS = (
    ("qualitative.csv", "answers", "qualitative.csv", "code"),
    ("qualitative.csv", "claim_ids", "claims.csv", "claim_id"),
)
"""(file, column) whose values, separated by spaces, must stand in (file, column)."""


class LiteratureError(ValueError):
    """Literature that cannot be used; carries every problem found, with file and line."""

    def __init__(self, folder: Path, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.file, p.line or 0, p.message)))
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"literature {folder.name} has {len(self.problems)} problem(s):\n{lines}")


@dataclass(frozen=True)
class Literature:
    """The files as rows, in file order.

    Attributes
    ----------
    rows
        File name -> rows; cells are stripped text, an empty cell is "".
    """

    rows: Mapping[str, tuple[Row, ...]]

    def __getitem__(self, file: str) -> tuple[Row, ...]:
        """Rows of a file."""
        return self.rows[file]


@dataclass(frozen=True)
class ReplicationTarget:
    """What a printed statistic is compared with; `kind` is None where there is nothing, and `reason` says why.

    Attributes
    ----------
    stat_id, published_survey_id
        The printed statistic and its survey.
    kind
        Kind of figure, as explained in `replication.yml`.
    wave
        `before`, `after`, `latest` (last round of the survey) or `change` (latest less first).
    filters
        Indicator (or `site_id`) -> code that a household must have.
    target
        Indicator, metric, band, scale, factor or item, by kind; empty where the kind needs none.
    codes
        Codes counted by `code_n` and `code_percent`.
    code_range
        Closed range counted instead of codes.
    factor_model, factor, model, term
        For factor analyses and regressions.
    multiplier
        Brings the warehouse figure to the printed scale.
    published
        The printed value; None where it is no number.
    reading, reading_reason
        Our reading of a damaged or impossible print, in the unit of the target, and why; None where the print
        stands.
    reason
        Why there is no figure to compare with.
    note
        What to know about the comparison.
    """

    stat_id: str
    published_survey_id: str
    kind: Kind | None
    published: float | None
    wave: str = ""
    filters: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    codes: tuple[str, ...] = ()
    code_range: tuple[float, float] | None = None
    factor_model: str = ""
    factor: str = ""
    model: str = ""
    term: str = ""
    multiplier: float = 1.0
    reading: float | None = None
    reading_reason: str | None = None
    reason: str | None = None
    note: str | None = None


def load_literature(path: Path, catalog: Catalog) -> Literature:
    """Read and cross-check the literature.

    Parameters
    ----------
    path
        Folder with the CSV files.
    catalog
        What the variables of the papers are mapped to.

    Raises
    ------
    LiteratureError
        With every problem: file, line, value, rule.
    """
    problems: list[Problem] = []
    lined = {name: _read(path / name, columns, problems) for name, columns in FILES.items()}
    if problems:
        raise LiteratureError(path, problems)
    problems += [p for name, rows in lined.items() for p in _check_cells(name, rows)]
    for name, column, other, key in REFERENCES:
        known = {row[key] for _, row in lined[other]}
        problems += [
            Problem(name, line, f"{column} {row[column]!r} is not a {key} of {other}")
            for line, row in lined[name]
            if row[column] and row[column] not in known
        ]
    for name, column, other, key in LISTS:
        known = {row[key] for _, row in lined[other]}
        problems += [
            Problem(name, line, f"{column} {value!r} is not a {key} of {other}")
            for line, row in lined[name]
            for value in row[column].split()
            if value not in known
        ]
    problems += _check_categories(lined["qualitative.csv"], catalog)
    if not problems:
        # selectors read the tables checked above
        problems += _check_claims(lined)
    printed = {row["stat_id"] for _, row in lined["statistics.csv"]}
    printed |= {row["site_id"] for _, row in lined["sites.csv"]}
    problems += [
        Problem(
            "findings.csv",
            line,
            f"stat_ids {stat_id!r} is no stat_id of statistics.csv and no site_id of sites.csv",
        )
        for line, row in lined["findings.csv"]
        for stat_id in row["stat_ids"].split()
        if stat_id not in printed
    ]
    problems += _check_map(lined["indicator_map.csv"], catalog)
    problems += [
        Problem(
            "context.csv", line, f"metric_id {row['metric_id']!r} is not a metric of places in the catalog"
        )
        for line, row in lined["context.csv"]
        if row["metric_id"] not in catalog.metric or catalog.metric[row["metric_id"]].grain != "place"
    ]
    if problems:
        raise LiteratureError(path, problems)
    return Literature({name: tuple(row for _, row in rows) for name, rows in lined.items()})


def _read(path: Path, columns: Sequence[str], problems: list[Problem]) -> list[tuple[int, Row]]:
    rows: list[tuple[int, Row]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(handle, strict=True)
            header = next(reader, [])
            if header != list(columns):
                problems.append(Problem(path.name, 1, f"columns must be {', '.join(columns)}"))
                return rows
            for cells in reader:
                if len(cells) != len(columns):
                    message = (
                        f"row has {len(cells)} cells, the header {len(columns)}; quote cells with commas"
                    )
                    problems.append(Problem(path.name, reader.line_num, message))
                else:
                    stripped = (cell.strip() for cell in cells)
                    rows.append((reader.line_num, dict(zip(columns, stripped, strict=True))))
    except FileNotFoundError:
        problems.append(Problem(path.name, None, "file is missing; the literature needs it"))
    except (UnicodeDecodeError, csv.Error) as error:
        problems.append(Problem(path.name, None, f"not readable as UTF-8 CSV: {error}"))
    return rows


def _check_cells(name: str, rows: Sequence[tuple[int, Row]]) -> Iterator[Problem]:
    key = FILES[name][0]
    seen: dict[str, int] = {}
    for line, row in rows:
        if not row[key]:
            yield Problem(name, line, f"{key} is empty")
        elif row[key] in seen:
            yield Problem(name, line, f"{key} {row[key]!r} is also in line {seen[row[key]]}")
        seen.setdefault(row[key], line)
        text = row["value"] if name == "statistics.csv" else ""
        if SEPARATED.fullmatch(text) and _number(text) is None:
            message = f"value {text!r} has a separator for decimals or thousands; write a point and no others"
            yield Problem(name, line, message)
        for column in NUMBERS.get(name, ()):
            if row[column] and _number(row[column]) is None:
                yield Problem(name, line, f"{column} {row[column]!r} is not a number; empty it or mend it")


def _check_categories(rows: Sequence[tuple[int, Row]], catalog: Catalog) -> Iterator[Problem]:
    name = "qualitative.csv"
    for line, row in rows:
        indicator, code = row["survey_indicator_id"], row["survey_code"]
        for column in ("indicator_id", "survey_indicator_id"):
            if row[column] and row[column] not in catalog.indicator:
                yield Problem(name, line, f"{column} {row[column]!r} is not in the catalog")
        if bool(indicator) != bool(code):
            yield Problem(name, line, "give survey_indicator_id and survey_code together")
        elif indicator in catalog.indicator and code not in catalog.codes_of(indicator):
            known = ", ".join(catalog.codes_of(indicator))
            yield Problem(name, line, f"survey_code {code!r} is no code of {indicator}: {known}")


def _check_claims(lined: Mapping[str, Sequence[tuple[int, Row]]]) -> Iterator[Problem]:
    tables = _claim_tables({name: [row for _, row in rows] for name, rows in lined.items()})
    for line, row in lined["claims.csv"]:
        if row["kind"] not in RULES:
            yield Problem("claims.csv", line, f"kind {row['kind']!r} is none of {', '.join(sorted(RULES))}")
            continue
        try:
            check(row, tables)
        except ValueError as error:
            yield Problem(
                "claims.csv", line, f"claim {row['claim_id']} cannot be held against anything: {error}"
            )


def _claim_tables(rows: Mapping[str, Sequence[Row]]) -> dict[str, Sequence[Row]]:
    """Tables that claims refer to, by the names used in claims."""
    categories = [{**row, "links": row["answers"]} for row in rows["qualitative.csv"]]
    return {
        "statistics": rows["statistics.csv"],
        "sites": rows["sites.csv"],
        "indicators": rows["indicators.csv"],
        "categories": categories,
    }


def checked_claims(literature: Literature) -> tuple[Outcome, ...]:
    """Every claim held against the figures, in file order."""
    tables = _claim_tables(literature.rows)
    return tuple(check(row, tables) for row in literature["claims.csv"])


def _check_map(rows: Sequence[tuple[int, Row]], catalog: Catalog) -> Iterator[Problem]:
    name = "indicator_map.csv"
    for line, row in rows:
        given = [column for column in ("indicator_id", "metric_id", "not_mapped_reason") if row[column]]
        if len(given) != 1:
            yield Problem(name, line, "give exactly one of indicator_id, metric_id and not_mapped_reason")
        if row["indicator_id"] and row["indicator_id"] not in catalog.indicator:
            yield Problem(name, line, f"indicator_id {row['indicator_id']!r} is not in the catalog")
        if row["metric_id"] and row["metric_id"] not in catalog.metric:
            yield Problem(name, line, f"metric_id {row['metric_id']!r} is not in the catalog")
        if (row["match"] in ANSWERED) == bool(row["not_mapped_reason"]) or row["match"] not in (
            *ANSWERED,
            "",
        ):
            yield Problem(
                name, line, f"match must be one of {', '.join(ANSWERED)} for a mapped variable, else empty"
            )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _citation(survey: Row) -> str:
    """Authors (year). Title. Journal. doi, without the parts a paper does not print."""
    year = f"({survey['year']})" if survey["year"] else ""
    lead = " ".join(part for part in (survey["authors"], year) if part)
    doi = f"https://doi.org/{survey['doi']}" if survey["doi"] else ""
    return ". ".join(part for part in (lead, survey["title"], survey["journal"], doi) if part)


def literature_tables(literature: Literature) -> dict[str, pa.Table]:
    """The literature as tables of the `reference` schema.

    Returns
    -------
    dict
        `published_surveys`, `published_sites`, `published_statistics`, `published_indicators`,
        `published_categories`, `category_links`, `published_findings`, `derived_checks`, with the columns of
        `tables.yml`; empty cells
        are null, `value_text` keeps a figure as printed beside the number in `value`.
    """
    surveys, maps = (
        literature["surveys.csv"],
        {row["published_indicator_id"]: row for row in literature["indicator_map.csv"]},
    )
    citations = {row["source_file"]: _citation(row) for row in surveys}
    return {
        "published_surveys": _table(
            ({**row, "published_survey_id": row["survey_id"], "citation": _citation(row)} for row in surveys),
            "published_survey_id region place fieldwork_date questionnaires_distributed:int64 "
            "questionnaires_valid:int64 response_rate_pct:double n_sites:int64 sampling instrument waves methods "
            "authors year:int32 title journal doi citation note note_zh",
        ),
        "published_sites": _table(
            ({**row, "published_site_id": row["site_id"]} for row in literature["sites.csv"]),
            "published_site_id region county site_name resettlement_type households:int64 "
            "sampled_questionnaires:int64 note note_zh",
        ),
        "published_statistics": _table(
            (
                {**row, "value_text": row["value"], "citation": citations[row["source_file"]]}
                for row in literature["statistics.csv"]
            ),
            "stat_id region source_file table_or_section wave group model dependent variable reference_category "
            "statistic value:double value_text unit quality citation note note_zh",
        ),
        "published_indicators": _table(
            (
                {
                    **row,
                    **{
                        k: maps[row["indicator_id"]][k]
                        for k in ("indicator_id", "metric_id", "not_mapped_reason", "not_mapped_reason_zh")
                    },
                    "published_indicator_id": row["indicator_id"],
                    "variable": row["indicator"],
                    "note": "; ".join(
                        part
                        for part in (
                            maps[row["indicator_id"]]["match"],
                            maps[row["indicator_id"]]["note"],
                            row["note"],
                        )
                        if part
                    ),
                    "note_zh": "；".join(
                        part for part in (maps[row["indicator_id"]]["note_zh"], row["note_zh"]) if part
                    ),
                }
                for row in literature["indicators.csv"]
            ),
            "published_indicator_id region system dimension variable measurement direction weight:double "
            "indicator_id metric_id not_mapped_reason not_mapped_reason_zh note note_zh",
        ),
        "published_categories": _table(
            literature["qualitative.csv"],
            "code category_type parent_code label region section resources_or_conditions place_examples figures "
            "suggested_measure stage_code answers indicator_id site_id survey_indicator_id survey_code claim_ids",
        ),
        "category_links": _table(
            _category_links(literature["qualitative.csv"]), "code link_type target region"
        ),
        "published_findings": _table(
            literature["findings.csv"],
            "finding_id region strength statement statement_zh arithmetic arithmetic_zh calibration stat_ids",
        ),
        "derived_checks": _table(
            ({**row, "value_text": row["value"]} for row in literature["derived_checks.csv"]),
            "check_id region quantity value:double value_text unit method confidence related_inconsistency",
        ),
    }


def _category_links(rows: Sequence[Row]) -> Iterator[Row]:
    """One row for each key of a category, so that it joins to the row it describes."""
    single = {"parent_code": "part_of", "stage_code": "stage", "indicator_id": "indicator", "site_id": "site"}
    for row in rows:
        links = [(kind, row[column]) for column, kind in single.items() if row[column]]
        links += [("answers", code) for code in row["answers"].split()]
        links += [("claim", claim) for claim in row["claim_ids"].split()]
        if row["survey_code"]:
            links.append(("survey_code", f"{row['survey_indicator_id']}={row['survey_code']}"))
        for kind, target in links:
            yield {"code": row["code"], "link_type": kind, "target": target, "region": row["region"]}


def _table(rows: Iterable[Row], columns: str) -> pa.Table:
    """Rows as a table; `columns` are names, with `:type` where a column is not text."""
    listed = list(rows)
    arrays: dict[str, pa.Array] = {}
    for column in columns.split():
        name, _, kind = column.partition(":")
        if kind:
            numbers = [_number(row[name]) for row in listed]
            arrays[name] = pa.array(numbers, pa.float64()).cast(pa.type_for_alias(kind))
        else:
            arrays[name] = pa.array([row[name] or None for row in listed], pa.string())
    return pa.table(arrays)


def replication_targets(literature: Literature, catalog: Catalog) -> tuple[ReplicationTarget, ...]:
    """One entry for each printed statistic: the figure it is compared with, or why there is none.

    Parameters
    ----------
    literature
        The printed statistics and our readings of damaged ones.
    catalog
        Rules, groups, waves and names of `replication.yml` and `models.yml`.

    Raises
    ------
    KeyError
        A printed name that the rules use but the catalog does not translate; the message says where to add it.
    """
    survey_of = {row["source_file"]: row["survey_id"] for row in literature["surveys.csv"]}
    readings = {row["stat_id"]: row for row in literature["readings.csv"]}
    targets = []
    for row in literature["statistics.csv"]:
        survey = survey_of[row["source_file"]]
        rule = _rule_for(row, survey, catalog)
        reading = readings.get(row["stat_id"])
        targets.append(_target(row, survey, rule, reading, catalog))
    return tuple(targets)


def _rule_for(row: Row, survey: str, catalog: Catalog) -> ReplicationRule | None:
    facts = {key: row[key] for key in ("wave", "quality", "statistic", "variable")}
    return next((r for r in catalog.replication.rules if r.matches(survey=survey, **facts)), None)


def _look_up(table: Mapping[str, str], name: str, where: str) -> str:
    if name not in table:
        raise KeyError(f"printed name {name!r} is not in {where}; add it or give a rule with a reason")
    return table[name]


def _target(
    row: Row, survey: str, rule: ReplicationRule | None, reading: Row | None, catalog: Catalog
) -> ReplicationTarget:
    printed = _number(row["value"])
    replication = catalog.replication
    if rule is None or rule.reason is not None:
        reason = rule.reason if rule else "no rule of replication.yml covers it"
        return ReplicationTarget(row["stat_id"], survey, None, printed, reason=reason)
    kind = rule.statistics[row["statistic"]] if isinstance(rule.statistics, dict) else rule.kind
    groups = replication.groups.get(survey, {})
    if row["group"] not in groups:
        raise KeyError(
            f"group {row['group']!r} of {row['stat_id']} is not in replication.yml under groups.{survey}"
        )
    target = rule.targets.get(row["variable"], row["variable"] if rule.target_from == "variable" else "")
    name, _, codes = target.partition("=")
    low, between, high = codes.partition("..")
    factor_model = factor = model = term = ""
    if kind in FACTOR_KINDS:
        factor_model = replication.factor_models[survey]
        factors = {
            f.published_name: f.id for m in catalog.factor_models if m.id == factor_model for f in m.factors
        }
        composite = next(m.composite for m in catalog.factor_models if m.id == factor_model)
        factors[composite.published_name] = "composite"
        if rule.factor_from:
            factor = _look_up(
                factors, row[rule.factor_from], f"factors of {factor_model} (factor_models.yml)"
            )
    if kind in MODEL_KINDS:
        names = next(p for p in catalog.published_terms if p.published_survey_id == survey)
        model = _look_up(names.models, row["model"], f"published_terms.{survey}.models (models.yml)")
        if rule.target_from == "terms":
            term = _look_up(names.terms, row["variable"], f"published_terms.{survey}.terms (models.yml)")
    return ReplicationTarget(
        stat_id=row["stat_id"],
        published_survey_id=survey,
        kind=kind,
        published=printed,
        wave=_look_up(replication.waves[survey], row["wave"], f"replication.yml under waves.{survey}"),
        # a model brings its own sample
        filters={} if model else groups[row["group"]],
        target=name,
        codes=tuple(codes.split("|")) if codes and not between else (),
        code_range=(float(low), float(high)) if between else None,
        factor_model=factor_model,
        factor=factor,
        model=model,
        term=term,
        multiplier=rule.multiplier,
        reading=_number(reading["value"]) if reading else None,
        reading_reason=f"{reading['finding_id']}: {reading['reason']}" if reading else None,
        note=rule.note,
    )


FACTOR_KINDS = frozenset(
    {
        *("kmo", "bartlett", "bartlett_p", "factors_n", "loading", "communality"),
        *("explained_percent", "factor_score_mean", "dimension_item_mean"),
    }
)
MODEL_KINDS = frozenset(
    {
        *("coefficient", "stars", "coefficient_sign", "p_threshold"),
        *("model_f", "model_f_stars", "model_adj_r2", "model_n"),
    }
)
