-- Which capital moved most after the move, where, with what interval, and are the two waves comparable?
-- 搬迁后哪类生计资本变化最大？在哪个地区？置信区间多大？两轮是否可比？
-- The change is taken household by household, so only households with both waves count. `status` is the weakest
-- verdict among the indicators of that capital; `waves_share_indicators` says whether both waves asked equally many.
select
    c.region, c.capital, c.n, c.mean_change, c.mean_change - 1.959964 * c.sd_change / sqrt(c.n) as ci_low,
    c.mean_change + 1.959964 * c.sd_change / sqrt(c.n) as ci_high, m.status, m.waves_share_indicators, c.is_synthetic
from capital.capital_changes as c
left join (
    select region, metric_id, weakest_verdict(status) as status, min(n_indicators) = max(n_indicators) as waves_share_indicators
    from analysis.region_comparison
    where evidence = 'household' and group_type = 'all'
    group by region, metric_id
) as m on c.region = m.region and m.metric_id = c.capital || '_capital'
where c.n > 0
order by abs(c.mean_change) desc;
