-- Did coordination change by more than chance between the waves?
-- 两轮之间协调度的变化是否显著？
-- One row a formula of C: a finding that holds under one formula only is none. Intervals come from what differs between sampling units.
select region, variant, estimate as mean_change, ci_low, ci_high, p, n, n_units, is_synthetic
from analysis.coupling_tests
where test = 'paired_t' and group_type = 'all' and scheme = 'equal' and band_scheme = 'livelihood_types'
order by region, variant;
