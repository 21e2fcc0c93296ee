-- Which printed figures are impossible or contradict each other, and by what arithmetic?
-- 哪些印出的数字不可能成立或自相矛盾？依据是什么？
select region, test, verdict, stat_ids, arithmetic, finding_ids
from quality.plausibility
where verdict in ('impossible', 'inconsistent')
order by verdict, region, plausibility_id
limit 15;
