-- How do I show words in place of codes?
-- 如何用词语代替编码？
-- Columns of one name share their words, so the name of the column and the code are all that a join needs. A wave may
-- have a name of its own and then has no words: join it with `left join` and `coalesce`.
select t.label_en as test_en, t.label_zh as test_zh, v.label_en as verdict_en, v.label_zh as verdict_zh,
    count(*) as tests
from quality.plausibility as p
inner join reference.value_labels as t on t.column_name = 'test' and p.test = t.code
inner join reference.value_labels as v on v.column_name = 'verdict' and p.verdict = v.code
where p.verdict in ('impossible', 'inconsistent')
group by t.label_en, t.label_zh, v.label_en, v.label_zh, t.display_order, v.display_order
order by t.display_order, v.display_order;
