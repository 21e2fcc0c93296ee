-- Does the ranking of the regions depend on choices of method?
-- 地区排名是否取决于方法选择？
-- `share` is the share of all combinations of bounds, weights and formula that give this rank; 1 means none changes it.
select metric_id, wave, region, rank, share, n_combinations, is_synthetic
from analysis.sensitivity_ranks
order by metric_id, wave, region, rank;
