-- How reliable are the scales?
-- 量表的信度如何？
select survey_id, model, wave, n, n_items, alpha, alpha_ci_low, alpha_ci_high, kmo, missing_policy, is_synthetic
from analysis.factor_diagnostics
where sample = 'all'
order by survey_id, model, wave;
