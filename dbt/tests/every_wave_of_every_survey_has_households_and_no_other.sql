{#- Every survey that was accepted has households in each of its waves, and no survey is left from before. -#}
with expected as (
    select distinct survey_id, wave from {{ source('reference', 'crosswalk') }}
),

found as (
    select survey_id, wave from {{ ref('household_waves') }} group by survey_id, wave
)

select coalesce(expected.survey_id, found.survey_id) as survey_id, coalesce(expected.wave, found.wave) as wave
from expected
full outer join found on expected.survey_id = found.survey_id and expected.wave = found.wave
where expected.survey_id is null or found.survey_id is null
