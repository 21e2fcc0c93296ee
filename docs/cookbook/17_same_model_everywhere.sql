-- Does one regression fit all regions, or do the coefficients differ?
-- 同一回归模型是否适用于所有地区？
-- Unstandardised coefficients, tested by what differs between sampling units; without a p value `reason` says why. `p_holm` counts all tests of
-- the model.
select subject as model, contrast as regions, test, component, statistic as f, df1, df2, p, p_holm, n_units, reason, is_synthetic
from analysis.region_tests
where test in ('chow', 'wald')
order by subject, contrast, test, component;
