-- What is the mean natural capital of the households of each region? (a column whose name is a reserved word)
-- 各地区家庭的平均自然资本是多少？（列名为保留字，需加引号）
-- `natural` starts NATURAL JOIN, and `column` starts ADD COLUMN: write "natural" and "column" in double quotes.
select region, wave, avg("natural") as mean_natural, count("natural") as n, bool_or(is_synthetic) as is_synthetic
from capital.household_capitals
where scheme = 'equal' and bounds = 'pooled'
group by region, wave, wave_order
order by region, wave_order;
