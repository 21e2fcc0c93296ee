"""A small build database of three invented surveys, made from the real catalog and random answers.

`hills` asks before and after what the weights of the first study need and belongs to that study; `valley` asks once
the items of the factor model and belongs to the second; `plains` asks part of both, before and after.
The mart of capitals is filled here with pandas, by the rule in its description and not by the code under test.
"""

from collections.abc import Mapping
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from relocation_warehouse.results.tables import Result
from relocation_warehouse.results.tables import store as store_result
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.literature import Literature, literature_tables

DATA = Path(__file__).parents[2] / "data"
KEYS = ["survey_id", "household_id", "wave", "wave_order", "region", "site_id", "is_synthetic"]
REASONS = ["not_asked", "not_applicable", "refused", "dont_know", "blank", "out_of_range", "not_shared"]
BLANK_SHARE = 0.02


def study(catalog: Catalog) -> tuple[str, str, str]:
    """Printed survey with its own weights, one with a factor model, one with neither."""
    weighted = next(s for s in catalog.weight_schemes if s.published_survey_ids).published_survey_ids[0]
    factored = catalog.factor_models[0].published_survey_ids[0]
    other = next(s for s in catalog.replication.groups if s not in (weighted, factored))
    return weighted, factored, other


def questions(catalog: Catalog, published: str) -> set[str]:
    """Indicators that the models, scales and weights of a printed survey need."""
    used = {
        name
        for m in catalog.models
        if published in m.published_survey_ids
        for r in catalog.regressors_of(m)
        for name in [r.indicator, *m.sample]
        if name
    }
    used |= {
        i
        for s in catalog.weight_schemes
        if published in s.published_survey_ids
        for d in s.dimensions.values()
        for i in d
    }
    used |= {
        i.indicator
        for s in catalog.scales
        if published in s.published_survey_ids
        for i in catalog.scale_items(s)
    }
    return used


def draw(catalog: Catalog, name: str, n: int, rng: np.random.Generator, latent: np.ndarray) -> np.ndarray:
    indicator = catalog.indicator[name]
    sampled = [code for m in catalog.models for i, code in m.sample.items() if i == name]
    mixed = 0.6 * latent + rng.standard_normal(n)
    if indicator.type == "category":
        codes = catalog.codes_of(name)
        # Codes that models of subsamples ask for are common.
        pool = np.array([*codes, *sampled * (len(codes) if sampled else 0)], dtype=object)
        return pool[rng.integers(0, len(pool), n)]
    if indicator.type in ("binary", "ordinal"):
        low, high = int(indicator.minimum), int(indicator.maximum)
        ranks = mixed.argsort().argsort() / n
        return (low + np.floor(ranks * (high - low + 1))).astype(float)
    if indicator.type == "count":
        return np.floor(np.exp(0.6 + 0.4 * mixed))
    ceiling = indicator.maximum if indicator.maximum is not None else np.inf
    return np.minimum(np.round(np.exp(1.5 + 0.5 * mixed), 2), ceiling)


def wide(catalog: Catalog) -> pd.DataFrame:
    rng = np.random.default_rng(20)
    weighted, factored, _ = study(catalog)
    capital = {i for d in catalog.default_weight_scheme.dimensions.values() for i in d}
    pooled = {r.indicator for m in catalog.models if m.interact_with for r in catalog.regressors_of(m)}
    plan = [
        ("hills", "North", 240, ["before", "after"], questions(catalog, weighted) | pooled, 2),
        ("plains", "South", 120, ["before", "after"], capital | pooled, 4),
        ("valley", "East", 260, ["single"], questions(catalog, factored) | pooled, 5),
    ]
    parts = []
    for survey_id, region, n, waves, asked, n_sites in plan:
        sites = rng.integers(0, n_sites, n)
        latent = rng.standard_normal(n)
        for order, wave in enumerate(waves, start=1):
            part = {
                "survey_id": survey_id,
                "household_id": [f"{survey_id}-{k:03d}" for k in range(n)],
                "wave": wave,
                "wave_order": order,
                "region": region,
                "site_id": [f"{survey_id}-site-{s}" for s in sites],
                "is_synthetic": True,
                "weight": rng.uniform(0.5, 2.0, n) if survey_id == "plains" else 1.0,
            }
            for indicator in catalog.indicators:
                name, reason = indicator.id, np.full(n, None, dtype=object)
                values = draw(catalog, name, n, rng, latent)
                scales = [f.dimension for f in catalog.factor_models[0].factors]
                if indicator.dimension in scales:
                    own = np.random.default_rng(
                        10 * scales.index(indicator.dimension) + order
                    ).standard_normal(n)
                    values = draw(
                        catalog, name, n, rng, 3 * own * (-1 if indicator.direction == "cost" else 1)
                    )
                if name not in asked:
                    values, reason = np.full(n, None, dtype=object), np.full(n, "not_asked", dtype=object)
                elif name not in ("resettlement_mode", "livelihood_strategy"):
                    blank = rng.random(n) < BLANK_SHARE
                    values = values.astype(object)
                    values[blank], reason[blank] = None, "blank"
                part[name], part[f"{name}__missing"] = values, reason
            parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def by_origin(make, catalog: Catalog, frame: pd.DataFrame) -> pd.DataFrame:
    """A mart made of the made-up surveys and of the real ones, each on their own."""
    return pd.concat([make(catalog, part) for _, part in frame.groupby("is_synthetic")], ignore_index=True)


def mart(catalog: Catalog, frame: pd.DataFrame) -> pd.DataFrame:
    """Capital indices of the default scheme: pooled bounds, members asked, half of their weight answered."""
    scheme = catalog.default_weight_scheme
    out = frame[[*KEYS, "weight"]].copy()
    out["scheme"], out["bounds"] = scheme.id, scheme.bounds
    for dimension in scheme.dimensions:
        weighted = answered = asked = 0.0
        count = 0
        for name, w in scheme.weights(dimension).items():
            x = pd.to_numeric(frame[name])
            z = (x - x.min()) / (x.max() - x.min())
            z = 1 - z if catalog.indicator[name].direction == "cost" else z
            weighted, answered = weighted + z.fillna(0) * w, answered + z.notna() * w
            asked, count = (
                asked + ~frame[f"{name}__missing"].isin(["not_asked", "not_shared"]) * w,
                count + z.notna(),
            )
        out[dimension] = (weighted / answered).where((answered > 0) & (answered >= 0.5 * asked))
        out[f"n_indicators_{dimension}"] = count
    out["total"] = sum(w * out[d] for d, w in scheme.dimension_weights.items())
    return out


def bounds(catalog: Catalog, frame: pd.DataFrame) -> pd.DataFrame:
    scheme = catalog.default_weight_scheme
    rows = []
    for name in dict.fromkeys(i for d in scheme.dimensions.values() for i in d):
        x = pd.to_numeric(frame[name])
        rows.append((name, scheme.bounds, catalog.indicator[name].direction, x.min(), x.max(), x.count()))
    columns = ["indicator_id", "bounds", "direction", "lower_bound", "upper_bound", "n"]
    return pd.DataFrame(rows, columns=columns).assign(
        is_constant=False, is_synthetic=frame["is_synthetic"].iloc[0]
    )


def integration(catalog: Catalog, frame: pd.DataFrame) -> pd.DataFrame:
    out = frame[[*KEYS, "weight"]].copy()
    dimensions = [d.id for d in catalog.dimensions if d.system == "integration"]
    for dimension in dimensions:
        items = [i for i in catalog.indicators if i.dimension == dimension and i.is_numeric]
        score = pd.DataFrame({i.id: pd.to_numeric(frame[i.id]) for i in items})
        for i in items:
            z = (score[i.id] - i.minimum) / (i.maximum - i.minimum)
            score[i.id] = 1 - z if i.direction == "cost" else z
        out[dimension] = 100 * score.mean(axis=1)
    out["total"] = out[dimensions].mean(axis=1, skipna=False)
    return out


def coverage(catalog: Catalog, frame: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (survey_id, wave, order, region, is_synthetic), part in frame.groupby(
        ["survey_id", "wave", "wave_order", "region", "is_synthetic"]
    ):
        for i in catalog.indicators:
            reasons = part[f"{i.id}__missing"].value_counts()
            n = int(part[i.id].notna().sum())
            status = "not_asked" if reasons.get("not_asked", 0) else "identical"
            rows.append(
                {
                    "survey_id": survey_id,
                    "wave": wave,
                    "wave_order": order,
                    "region": region,
                    "is_synthetic": is_synthetic,
                    "indicator_id": i.id,
                    "status": status,
                    "evidence": "invented",
                    "n": n,
                    "n_missing": len(part) - n,
                }
                | {f"n_{r}": int(reasons.get(r, 0)) for r in REASONS}
            )
    return pd.DataFrame(rows)


def store(con: duckdb.DuckDBPyConnection, name: str, frame: object) -> None:
    con.register("incoming", frame)
    con.execute(f"create or replace table {name} as select * from incoming")
    con.unregister("incoming")


def stored(
    con: duckdb.DuckDBPyConnection, made: Mapping[str, Result], schema: str = "analysis"
) -> dict[str, pd.DataFrame]:
    """Results as the pipeline stores them, read back."""
    for name, result in made.items():
        store_result(con, f"{schema}.{name}", result)
    return {name: con.execute(f"from {schema}.{name}").to_arrow_table().to_pandas() for name in made}


def build(catalog: Catalog, literature: Literature, frame: pd.DataFrame) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    for schema in ("staging", "harmonized", "capital", "integration", "reference", "analysis", "quality"):
        con.execute(f"create schema {schema}")
    typed = frame.copy()
    for i in catalog.indicators:
        typed[i.id] = typed[i.id].astype("string") if i.type == "category" else pd.to_numeric(typed[i.id])
        typed[f"{i.id}__missing"] = typed[f"{i.id}__missing"].astype("string")
    store(con, "staging.household_waves", typed)
    con.execute("create view harmonized.households as select * from staging.household_waves")
    store(con, "harmonized.coverage", coverage(catalog, frame))
    store(con, "capital.household_capitals", by_origin(mart, catalog, typed))
    store(con, "capital.indicator_bounds", by_origin(bounds, catalog, typed))
    store(con, "integration.household_dimensions", integration(catalog, typed))
    weighted, factored, _ = study(catalog)
    published = {"hills": weighted, "valley": factored, "plains": None}
    waves = frame.groupby("survey_id")["wave"].agg(lambda w: " ".join(dict.fromkeys(w)))
    regions = frame.groupby("survey_id")["region"].first()
    surveys = pd.DataFrame({"survey_id": list(waves.index), "waves": list(waves), "region": list(regions)})
    surveys["is_synthetic"] = surveys["survey_id"].map(frame.groupby("survey_id")["is_synthetic"].first())
    surveys["published_survey_ids"] = surveys["survey_id"].map(published).astype("string")
    store(
        con,
        "reference.surveys",
        surveys.assign(
            region_label_en=surveys["region"],
            region_label_zh=surveys["region"],
            status="accepted",
            fieldwork="2019-08",
        ),
    )
    sites = frame[["survey_id", "site_id", "region"]].drop_duplicates().assign(households=200)
    store(con, "reference.sites", sites)
    for name, table in literature_tables(literature).items():
        store(con, f"reference.{name}", table)
    return con
