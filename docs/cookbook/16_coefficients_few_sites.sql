-- Which coefficients stop being significant once the few sites are taken into account?
-- 考虑安置点数量很少之后，哪些系数不再显著？
-- CR2 clusters households by site with Satterthwaite degrees of freedom.
select o.survey_id, o.model, o.label_en as term, o.b, o.p as p_ols, c.p as p_cr2, c.df as df_cr2, o.is_synthetic
from analysis.regression_coefficients as o
inner join analysis.regression_coefficients as c
    on o.survey_id = c.survey_id and o.model = c.model and o.term = c.term and c.covariance = 'cr2'
where o.covariance = 'ols' and o.term <> 'constant' and o.p < 0.05 and c.p >= 0.05 and o.model like 'pooled%'
order by o.survey_id, o.model, o.term_order;
