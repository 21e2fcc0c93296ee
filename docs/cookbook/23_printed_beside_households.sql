-- Where a paper prints the same metric, how far is the household mean from it?
-- 论文印出的指标与住户均值相差多少？
-- Two grains of evidence side by side, never averaged: `printed` is real, the household means are made up.
select
    h.metric_id, h.region, h.wave, p.value as printed, h.value as household_mean, h.value - p.value as difference,
    h.ci_low, h.ci_high, p.source_id as stat_id, h.is_synthetic
from analysis.region_comparison as h
inner join analysis.region_comparison as p
    on h.metric_id = p.metric_id and h.region = p.region and h.wave = p.wave
    and h.group_type = p.group_type and h.group_id = p.group_id and p.evidence = 'printed'
where h.evidence = 'household' and h.group_type = 'all'
order by abs(h.value - p.value) / nullif(h.standard_error, 0) desc, h.metric_id, h.region, h.wave
limit 12;
