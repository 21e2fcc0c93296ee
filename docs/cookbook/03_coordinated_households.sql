-- Which region's households are coordinated?
-- 哪个地区的家庭达到协调？
-- Share of households in each livelihood type. The cut points of the four types are inferred (reference.bands).
select b.region, b.wave, g.label_en as band, g.label_zh, b.n, b.share, g.is_inferred, b.is_synthetic
from analysis.coupling_bands as b
inner join reference.bands as g on b.band_scheme = g.band_scheme and b.band = g.band
where b.group_type = 'all' and b.scheme = 'equal' and b.variant = 'standard' and b.band_scheme = 'livelihood_types'
order by b.region, b.wave_order, b.band_order;
