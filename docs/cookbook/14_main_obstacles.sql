-- What holds households back most in each region?
-- 各地区家庭发展的主要障碍因子是什么？
-- Degrees sum to 1, and ranks run from 1, within each system.
select o.region, o.wave, o.system, o.dimension, i.label_en as indicator, i.label_zh, o.degree, o.rank, o.n, o.is_synthetic
from analysis.obstacle_degrees as o
inner join reference.indicators as i on o.indicator_id = i.indicator_id
where o.group_type = 'all' and o.scheme = 'equal' and o.rank <= 3
order by o.region, o.wave_order, o.system, o.rank;
