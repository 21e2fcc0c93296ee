"""Printed figures recomputed from other printed figures, without any household.

Belongs here: the few relations that tie figures of one paper to each other and give a value, not only a verdict.
Does not belong here: tests of consistency (`analysis.printed_tables`) and figures of the warehouse (`replication`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from scipy import stats

from analysis.plausibility import Printed, f_from_adjusted_r2, printed
from analysis.printed_figures import WHOLE, Figure, Papers, read, same
from analysis.printed_regressions import implied_figures
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.literature import Literature, ReplicationTarget, Row


@dataclass(frozen=True)
class Recomputed:
    """A value that follows from printed ones.

    Attributes
    ----------
    value
        On the printed scale.
    spread
        How far it may be off because the figures it follows from are rounded.
    arithmetic
        With the numbers, so that a reader can redo it.
    """

    value: float
    spread: float
    arithmetic: str


def recompute(
    literature: Literature, catalog: Catalog, targets: Iterable[ReplicationTarget]
) -> dict[str, Recomputed]:
    """Recompute what other printed figures give.

    Percentages, response rates, totals of sites, sampling proportions, communalities, explained variance, F and its
    stars, coefficients of weighted sums, p of sphericity, means of dimensions, and figures printed twice.

    Returns
    -------
    dict
        stat_id -> value; only where all figures it follows from are printed.
    """
    figures = {
        row["stat_id"]: number
        for row in literature["statistics.csv"]
        if (number := printed(row["value"])) is not None
    }
    rows = {row["stat_id"]: row for row in literature["statistics.csv"]}
    known = [t for t in targets if t.stat_id in figures]
    papers = read(literature["statistics.csv"], literature["sites.csv"], None)
    return {
        **{k: Recomputed(i.value, i.spread, i.arithmetic) for k, i in implied_figures(papers).items()},
        **dict(_sphericity(papers)),
        **dict(_repeats(papers)),
        **dict(_sums_of_sites(papers)),
        **dict(_response_rates(literature, known)),
        **_percentages(literature, figures),
        **dict(_proportions(known, figures)),
        **dict(_squares(catalog, known, figures)),
        **dict(_f_values(catalog, known, figures)),
        **dict(_item_means(catalog, known, figures, rows)),
    }


def _response_rates(
    literature: Literature, targets: Iterable[ReplicationTarget]
) -> Iterator[tuple[str, Recomputed]]:
    """Valid questionnaires of those distributed."""
    surveys = {row["survey_id"]: row for row in literature["surveys.csv"]}
    for t in targets:
        row = surveys[t.published_survey_id]
        sent, valid = printed(row["questionnaires_distributed"]), printed(row["questionnaires_valid"])
        if t.kind == "response_percent" and sent is not None and valid is not None:
            value = 100 * valid.value / sent.value
            yield t.stat_id, Recomputed(value, 0.0, f"{valid.text}/{sent.text} = {value:.3f} %")


def _sums_of_sites(papers: Papers) -> Iterator[tuple[str, Recomputed]]:
    """Counts of the whole sample that the sites of their table add up to; numbers of cases that are such a count."""
    parts: defaultdict[tuple[str, ...], list[Figure]] = defaultdict(list)
    for f in papers.of("n"):
        if f.group.startswith("site:") and not f.model:
            parts[f.paper, f.table, f.wave, f.variable].append(f)
    for f in papers.of("n"):
        sites = parts.get((f.paper, f.table, f.wave, f.variable), [])
        if f.group == WHOLE and not f.model and len(sites) > 1:
            total = sum(s.number.value for s in sites)
            text = f"{' + '.join(s.number.text for s in sites)} = {total:g}"
            yield f.stat_id, Recomputed(total, 0.0, text)
        size = papers.sample_size(f.paper, f.group)
        if f.model and size is not None:
            yield (
                f.stat_id,
                Recomputed(size.number.value, 0.0, f"N of the group {size.number.text} ({size.table})"),
            )


def _repeats(papers: Papers) -> Iterator[tuple[str, Recomputed]]:
    """Figures of the text that a table prints as well, or gives as the sum of two shares."""
    told = {f.stat_id for f in papers.of("percent") if "text" in f.table.lower()}
    shares = {
        (f.paper, f.wave, f.group, f.variable): f for f in papers.of("percent") if f.stat_id not in told
    }
    for f in papers.of("percent"):
        if f.stat_id in told and (other := shares.get((f.paper, f.wave, f.group, f.variable))) is not None:
            yield f.stat_id, Recomputed(other.number.value, 0.0, f"{other.number.text} ({other.table})")


def _sphericity(papers: Papers) -> Iterator[tuple[str, Recomputed]]:
    """Probability of Bartlett's test from chi-square and the number of items."""
    for chi2 in papers.of("bartlett"):
        k = len({f.variable for f in papers.of("loading") if (f.paper, f.group) == (chi2.paper, chi2.group)})
        for p in papers.of("p_value"):
            if same(p, chi2) and p.variable == chi2.variable and k > 1:
                df = k * (k - 1) // 2
                value = float(stats.chi2.sf(chi2.number.value, df))
                yield p.stat_id, Recomputed(value, 0.0, f"chi2 {chi2.number.text}, df {df}: p = {value:.3g}")


def _half(number: Printed) -> float:
    """Half a unit of the last printed digit."""
    return (number.high - number.low) / 2


def _percentages(literature: Literature, figures: Mapping[str, Printed]) -> dict[str, Recomputed]:
    """100 n/N: N is the sum over the answers to the question, or the valid questionnaires where each stands alone."""
    valid = {r["source_file"]: r["questionnaires_valid"] for r in literature["surveys.csv"]}
    counts: dict[tuple[str, ...], Row] = {}
    blocks: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for row in literature["statistics.csv"]:
        if row["statistic"] == "n" and row["stat_id"] in figures:
            counts.setdefault(_place(row), row)
            blocks[_block(row)] += figures[row["stat_id"]].value
    percentages = {}
    for row in literature["statistics.csv"]:
        count = counts.get(_place(row))
        if row["statistic"] != "percent" or count is None or row["stat_id"] not in figures:
            continue
        base = blocks[_block(row)] if ":" in row["variable"] else float(valid[row["source_file"]] or 0)
        if base:
            n = figures[count["stat_id"]].value
            percentages[row["stat_id"]] = Recomputed(
                100 * n / base, 0.0, f"{n:g}/{base:g} = {100 * n / base:.3f} %"
            )
    return percentages


def _place(row: Row) -> tuple[str, ...]:
    return tuple(row[k] for k in ("source_file", "wave", "group", "model", "variable"))


def _block(row: Row) -> tuple[str, ...]:
    return (*_place(row)[:-1], row["variable"].partition(":")[0])


def _proportions(
    targets: Iterable[ReplicationTarget], figures: Mapping[str, Printed]
) -> Iterator[tuple[str, Recomputed]]:
    """Questionnaires per household of the same group."""
    kinds: defaultdict[str, dict[tuple[object, ...], str]] = defaultdict(dict)
    for t in targets:
        kinds[t.kind or ""].setdefault((t.published_survey_id, tuple(t.filters.items())), t.stat_id)
    for group, stat_id in kinds["sampling_percent"].items():
        parts = kinds["respondents_n"].get(group), kinds["site_households_n"].get(group)
        if parts[0] and parts[1]:
            n, households = figures[parts[0]].value, figures[parts[1]].value
            value = 100 * n / households
            yield stat_id, Recomputed(value, 0.0, f"{n:g}/{households:g} = {value:.3f} %")


def _squares(
    catalog: Catalog, targets: Iterable[ReplicationTarget], figures: Mapping[str, Printed]
) -> Iterator[tuple[str, Recomputed]]:
    """Sums of squared loadings: over the factors of an item, over the items of a factor."""
    targets = tuple(targets)
    loadings: defaultdict[str, dict[tuple[str, str], Printed]] = defaultdict(dict)
    for t in targets:
        if t.kind == "loading":
            loadings[t.factor_model][t.target, t.factor] = figures[t.stat_id]
    models = {m.id: m for m in catalog.factor_models}
    for t in targets:
        if t.kind not in ("communality", "explained_percent"):
            continue
        model, grid = models[t.factor_model], loadings[t.factor_model]
        items, scale = [item.indicator for item in model.items], 1.0
        if t.kind == "communality":
            wanted = [(t.target, f.id) for f in model.factors]
        else:
            wanted, scale = [(item, t.factor) for item in items], 100 / len(items)
        if all(cell in grid for cell in wanted):
            cells = [grid[cell] for cell in wanted]
            value = scale * sum(c.value**2 for c in cells)
            spread = scale * sum(2 * abs(c.value) * _half(c) for c in cells)
            terms = " + ".join(f"{c.text.lstrip('-')}^2" for c in cells)
            lead = "" if scale == 1 else f"100/{len(items)} x "
            yield t.stat_id, Recomputed(value, spread, f"{lead}({terms}) = {value:.4f}")


def _f_values(
    catalog: Catalog, targets: Iterable[ReplicationTarget], figures: Mapping[str, Printed]
) -> Iterator[tuple[str, Recomputed]]:
    """F of a model from its adjusted R2, number of cases and number of regressors."""
    targets = tuple(targets)
    by_kind = {(t.kind, t.model): figures[t.stat_id] for t in targets if t.model}
    for t in targets:
        adjusted, n = by_kind.get(("model_adj_r2", t.model)), by_kind.get(("model_n", t.model))
        if t.kind != "model_f" or adjusted is None or n is None:
            continue
        k = len(catalog.terms_of(next(m for m in catalog.models if m.id == t.model)))
        value, low, high = (
            f_from_adjusted_r2(a, int(n.value), k) for a in (adjusted.value, adjusted.low, adjusted.high)
        )
        text = (
            f"F from adjusted R2 {adjusted.text}, n {n.text}, k {k} = {value:.3f} ({low:.3f} to {high:.3f})"
        )
        yield t.stat_id, Recomputed(value, max(high - value, value - low), text)


def _item_means(
    catalog: Catalog,
    targets: Iterable[ReplicationTarget],
    figures: Mapping[str, Printed],
    rows: Mapping[str, Row],
) -> Iterator[tuple[str, Recomputed]]:
    """Mean of the printed item means of a dimension."""
    targets = tuple(targets)
    means = {
        (rows[t.stat_id]["source_file"], t.target): figures[t.stat_id]
        for t in targets
        if t.kind == "oriented_mean"
    }
    models = {m.id: m for m in catalog.factor_models}
    for t in targets:
        if t.kind != "dimension_item_mean":
            continue
        model = models[t.factor_model]
        dimension = next(f.dimension for f in model.factors if f.id == t.target)
        items = [i.indicator for i in model.items if catalog.indicator[i.indicator].dimension == dimension]
        cells = [means.get((rows[t.stat_id]["source_file"], item)) for item in items]
        given = [c for c in cells if c is not None]
        if given and len(given) == len(items):
            value = sum(c.value for c in given) / len(given)
            text = f"({' + '.join(c.text for c in given)})/{len(given)} = {value:.4f}"
            yield t.stat_id, Recomputed(value, sum(map(_half, given)) / len(given), text)
