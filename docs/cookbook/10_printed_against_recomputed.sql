-- What stands behind the printed figures?
-- 论文数字各有什么依据？
-- `follows` and `refuted` rest on other printed figures, `recomputed` on real answers; `made_to_match`, `off_target` and
-- `not_aimed_at` on made-up ones, which prove nothing about the study.
select region, verdict, count(*) as figures, count(recomputed) as recomputed, is_synthetic
from quality.replication
group by region, verdict, is_synthetic
order by region, verdict, is_synthetic;
