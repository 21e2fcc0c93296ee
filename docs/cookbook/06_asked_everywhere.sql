-- Which indicators are asked in every survey?
-- 哪些指标在所有调查中都问到了？
-- `weakest_verdict` says how far they may be compared: identical, compatible or proxy.
select
    i.indicator_id, i.label_zh, i.unit, count(distinct c.survey_id) as n_surveys,
    weakest_verdict(c.status) as weakest_verdict
from harmonized.coverage as c
inner join reference.indicators as i on c.indicator_id = i.indicator_id
where c.status in ('identical', 'compatible', 'proxy')
group by i.indicator_id, i.label_zh, i.unit, i.display_order
having count(distinct c.survey_id) = (select count(*) from reference.surveys where status = 'accepted')
order by i.display_order;
