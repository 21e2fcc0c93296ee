-- Do the integration scales measure the same thing in two surveys?
-- 社会融入量表在不同调查中测量的是同一事物吗？
-- Tucker's phi of the loadings: 0.95 and more counts as equal, 0.85 to 0.94 as fair.
select model, factor, sample_a, sample_b, phi, n_items, verdict, reason, is_synthetic
from analysis.factor_congruence
order by model, sample_a, sample_b, factor;
