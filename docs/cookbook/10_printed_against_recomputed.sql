-- How many of the printed figures come out again?
-- 论文中印出的数字有多少能够复算？
-- `reproduced` agrees within rounding, `calibrated` within the stated tolerance of the made-up survey.
select region, verdict, count(*) as figures, count(recomputed) as recomputed, is_synthetic
from quality.replication
group by region, verdict, is_synthetic
order by region, verdict, is_synthetic;
