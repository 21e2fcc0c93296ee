-- What is the effect of each factor over all regions together, and how much do the regions disagree?
-- 各因素在所有地区合并后的效应有多大？地区间差异多大？
-- Random-effects meta-analysis. `i2` is the share of variance between regions. With few regions, or few sampling units in one, there is no interval.
select subject as model, component as term, contrast as regions, estimate, ci_low, ci_high, p, i2, reason, is_synthetic
from analysis.region_tests
where test = 'meta_analysis' and component <> 'constant'
order by subject, component;
