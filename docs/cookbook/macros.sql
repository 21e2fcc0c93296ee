-- Short words for questions that come again. They live in the session only (TEMP), so the read-only file accepts them:
--   duckdb -readonly data/published/warehouse.duckdb -init docs/cookbook/macros.sql

-- Ends of the 95 % interval of a mean over a column, by the normal approximation; for several hundred households it is
-- within one per cent of the t interval. Households of one site resemble each other, so the true interval is wider.
create or replace temp macro ci_low(x) as avg(x) - 1.959964 * stddev_samp(x) / sqrt(count(x));
create or replace temp macro ci_high(x) as avg(x) + 1.959964 * stddev_samp(x) / sqrt(count(x));

-- The weakest of several verdicts on comparability.
create or replace temp macro weakest_verdict(status) as case
    when bool_or(status not in ('identical', 'compatible', 'proxy')) then 'undetermined'
    when bool_or(status = 'proxy') then 'proxy'
    when bool_or(status = 'compatible') then 'compatible'
    else 'identical'
end;

-- Means of one metric by region and wave, from household answers (never mixed with printed figures).
create or replace temp macro metric_by_region(wanted) as table
select c.region, c.wave, c.wave_order, c.value, c.ci_low, c.ci_high, c.n, c.unit, c.status, c.n_indicators, c.is_synthetic
from analysis.region_comparison as c
where c.metric_id = wanted and c.evidence = 'household' and c.group_type = 'all';

-- Change of each capital of each household between its first and its last wave, under the default options.
-- "natural" begins a natural join in SQL: as a column it must be quoted.
create or replace temp macro capital_changes() as table
select
    survey_id, region, is_synthetic, household_id, capital,
    arg_max(score, wave_order) - arg_min(score, wave_order) as change
from (
    unpivot (from capital.household_capitals where scheme = 'equal' and bounds = 'pooled')
    on "natural", physical, financial, human, social
    into name capital value score
)
group by all
having max(wave_order) > min(wave_order);

-- Coordination of the default options: equal weights, standard formula, four livelihood types.
create or replace temp macro coordination() as table
select *
from analysis.coupling_coordination
where scheme = 'equal' and variant = 'standard' and band_scheme = 'livelihood_types';
