-- Short words for questions that come again. Every published file holds them, so no client has to load anything; a macro
-- that reads a table of the analyst edition is left out of the public one. What stands above a macro is its comment.

-- Lower end of the 95 % interval of a mean over a column, by the normal approximation; for several hundred households it
-- is within one per cent of the t interval. Households of one site resemble each other, so the true interval is wider.
-- 某列均值95%区间的下限（正态近似；未计入安置点内的相似性，真实区间更宽）。
create macro ci_low(x) as avg(x) - 1.959964 * stddev_samp(x) / sqrt(count(x));

-- Upper end of the same interval.
-- 同一区间的上限。
create macro ci_high(x) as avg(x) + 1.959964 * stddev_samp(x) / sqrt(count(x));

-- The weakest of several verdicts on comparability.
-- 若干可比性结论中最弱的一个。
create macro weakest_verdict(status) as case
    when bool_or(status not in ('identical', 'compatible', 'proxy')) then 'undetermined'
    when bool_or(status = 'proxy') then 'proxy'
    when bool_or(status = 'compatible') then 'compatible'
    else 'identical'
end;

-- The round that lines up the wave of a survey with those of others: where round_of(survey_id, wave) = 'latest'.
-- 某调查某轮次对齐后的轮次：where round_of(survey_id, wave) = 'latest'。
create macro round_of(one_survey, one_wave) as (
    select any_value(w.round)
    from reference.waves as w
    where w.survey_id = one_survey and w.wave = one_wave
);

-- Means of one metric by region and wave, from household answers (never mixed with printed figures).
-- 某指标按地区和轮次的均值（仅住户数据，不含论文印刷值）。
create macro metric_by_region(wanted) as table
select c.region, c.wave, c.wave_order, c.round, c.value, c.ci_low, c.ci_high, c.n, c.unit, c.status, c.n_indicators, c.is_synthetic
from analysis.region_comparison as c
where c.metric_id = wanted and c.evidence = 'household' and c.group_type = 'all';

-- Change of each capital of each household between its first and its last wave, under the default options.
-- "natural" begins a natural join in SQL: as a column it must be quoted.
-- 各住户各资本从首轮到末轮的变化（默认口径）。
create macro capital_changes() as table
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

-- Coordination of the default options, one row a household and wave.
-- 默认口径的耦合协调度，每户每轮一行。
create macro coordination() as table
select * from analysis.coupling_default;
