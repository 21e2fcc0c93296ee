-- Does one regression fit all regions, or do the coefficients differ?
-- 同一回归模型是否适用于所有地区？
-- Chow's test on unstandardised coefficients; a small p says that the regions need coefficients of their own.
select subject as model, contrast as regions, component, statistic as f, df1, df2, p, n, is_synthetic
from analysis.region_tests
where test = 'chow'
order by subject, component;
