-- From which columns of which file does a capital come?
-- 某类资本的数值来自哪个文件的哪些列？
-- Walks back from the dimension over its indicators and the crosswalk to the questions asked.
select c.survey_id, c.wave, w.indicator_id, c.rule, c.sources, c.codes, c.unit_as_asked, i.unit, c.status, c.is_synthetic
from analysis.indicator_weights as w
inner join reference.indicators as i on w.indicator_id = i.indicator_id
inner join reference.crosswalk as c on w.indicator_id = c.indicator_id
where w.scheme = 'equal' and w.dimension = 'natural' and c.status in ('identical', 'compatible', 'proxy')
order by c.survey_id, c.wave, i.display_order;
