-- In which dimension is integration weakest in each region?
-- 各地区社会融入最弱的维度是什么？
-- A dimension is only comparable between regions that asked the same items: compare `n_indicators` and `status`.
select c.region, c.wave, d.label_en as dimension, d.label_zh, c.value, c.ci_low, c.ci_high, c.n, c.n_indicators, c.status, c.is_synthetic
from analysis.region_comparison as c
inner join reference.metric_definitions as d on c.metric_id = d.metric_id
where d.source_table = 'integration.household_dimensions' and c.evidence = 'household' and c.group_type = 'all'
order by c.region, c.wave_order, c.value;
