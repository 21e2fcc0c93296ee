-- Which resettlement sites are the most and the least coordinated after the move?
-- 搬迁后哪些安置点的协调度最高、最低？
-- Overlapping intervals mean that the order of two sites is not certain.
select
    d.region, s.label_en as site, s.label_zh, count(*) as n, avg(d.d) as mean_d,
    ci_low(d.d) as ci_low, ci_high(d.d) as ci_high, bool_or(d.is_synthetic) as is_synthetic
from coordination() as d
inner join reference.sites as s on d.site_id = s.site_id
where d.wave_order = (select max(w.wave_order) from coordination() as w where w.survey_id = d.survey_id)
group by d.region, d.site_id, s.label_en, s.label_zh
order by mean_d desc, site;
