-- How many rows did each file bring, and how many were accepted?
-- 每个文件收到多少行？接受了多少行？
select survey_id, file, file_id, format, encoding, received, accepted, quarantined, received - accepted - quarantined as unexplained, is_synthetic
from quality.loads
order by survey_id, file_id;
