-- Where do the recomputed figures differ most from the printed ones, measured in tolerances?
-- 复算值与印刷值相差最大的是哪些？
select stat_id, region, statistic, subject, published, recomputed, difference, tolerance, reason, is_synthetic
from quality.replication
where verdict in ('off_target', 'recomputed') and tolerance > 0
order by abs(difference) / tolerance desc, stat_id
limit 10;
