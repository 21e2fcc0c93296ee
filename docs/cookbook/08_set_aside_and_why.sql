-- What was set aside while reading the surveys, where, and why?
-- 读取调查时哪些内容被隔离？为什么？
-- `grain` says whether the whole row or only the cell was set aside; the row itself stays when one cell is wrong.
select survey_id, grain, rule, count(*) as n, string_agg("column", '; ' order by "column") as columns, bool_or(is_synthetic) as is_synthetic
from quality.quarantine
group by survey_id, grain, rule
order by survey_id, grain, rule;
