-- Why are values missing?
-- 数值为何缺失？
-- A question that was never asked is no missing answer: it is counted apart.
select
    survey_id, wave, sum(n)::bigint as answers, sum(n_not_asked)::bigint as not_asked,
    sum(n_not_applicable)::bigint as not_applicable, sum(n_refused)::bigint as refused, sum(n_dont_know)::bigint as dont_know,
    sum(n_blank)::bigint as blank, sum(n_out_of_range)::bigint as out_of_range, sum(n_not_shared)::bigint as not_shared,
    bool_or(is_synthetic) as is_synthetic
from harmonized.coverage
group by survey_id, wave, wave_order
order by survey_id, wave_order;
