-- Which resettlement sites are the most and the least coordinated after the move?
-- 搬迁后哪些安置点的协调度最高、最低？
-- Overlapping intervals mean that the order of two sites is not certain.
select
    d.region, s.label_en as site, s.label_zh, d.n, d.mean_d, d.mean_d - 1.959964 * d.sd_d / sqrt(d.n) as ci_low,
    d.mean_d + 1.959964 * d.sd_d / sqrt(d.n) as ci_high, d.is_synthetic
from analysis.coupling_summary as d
inner join reference.sites as s on d.survey_id = s.survey_id and d.group_id = s.site_id
where d.group_type = 'site' and d.scheme = 'equal' and d.variant = 'standard' and d.band_scheme = 'livelihood_types'
    and d.round = 'latest'
order by d.mean_d desc, site;
