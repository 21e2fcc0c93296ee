-- How much of each system did each survey ask, and how comparable is it?
-- 各调查覆盖了各系统的多少指标？可比性如何？
select
    c.survey_id, c.wave, i.system, count(*) as indicators,
    count(*) filter (where c.status = 'identical') as identical,
    count(*) filter (where c.status = 'compatible') as compatible,
    count(*) filter (where c.status = 'proxy') as proxy,
    count(*) filter (where c.status in ('not_asked', 'asked_not_shared', 'undetermined')) as without_answer
from harmonized.coverage as c
inner join reference.indicators as i on c.indicator_id = i.indicator_id
where i.system in ('capital', 'integration', 'stability')
group by c.survey_id, c.wave, c.wave_order, i.system
order by c.survey_id, c.wave_order, i.system;
