-- How coordinated are livelihood capital and stability in each region and wave?
-- 各地区各轮次的耦合协调度是多少？
select region, wave, value as mean_d, ci_low, ci_high, n, status, n_indicators, is_synthetic
from metric_by_region('coupling_coordination_degree')
order by region, wave_order;
