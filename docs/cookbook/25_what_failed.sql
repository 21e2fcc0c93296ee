-- Which checks did this refresh not pass?
-- 本次更新有哪些检查未通过？
-- A failed check of severity error stops the publication, so a published file holds warnings only.
select source, "table", "check", severity, n_failed
from quality.checks
where status = 'failed'
order by source, "table", "check";
