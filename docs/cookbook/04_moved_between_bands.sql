-- How many households moved up, stayed or moved down between the livelihood types?
-- 有多少家庭在生计类型之间上升、不变或下降？
select
    t.region,
    case when g.band_order > f.band_order then 'up' when g.band_order < f.band_order then 'down' else 'same' end as direction,
    sum(t.n)::bigint as households, sum(t.share) as share, bool_or(t.is_synthetic) as is_synthetic
from analysis.coupling_transitions as t
inner join reference.bands as f on t.band_scheme = f.band_scheme and t.band_from = f.band
inner join reference.bands as g on t.band_scheme = g.band_scheme and t.band_to = g.band
where t.group_type = 'all' and t.scheme = 'equal' and t.variant = 'standard' and t.band_scheme = 'livelihood_types'
group by all
order by t.region, direction desc;
