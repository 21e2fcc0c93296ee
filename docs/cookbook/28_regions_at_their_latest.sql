-- How do the regions stand today, whatever each survey calls its last wave?
-- 各地区最近一轮处于什么水平（不论该调查如何称呼其轮次）？
-- `round = 'latest'` is the single wave of one survey and the wave after the move of another; `wave = 'after'` would drop the first.
select metric_id, region, wave, value, ci_low, ci_high, n, status, is_synthetic
from analysis.region_comparison
where round = 'latest' and evidence = 'household' and group_type = 'all' and metric_id in ('customs_difference', 'household_income_yuan')
order by metric_id, region;
