{#- Why a household has no value of an indicator that others of its survey and wave have, or lack for another reason.
    Where nobody has a value and all for one reason, most often because it was not asked, coverage says so once. -#}
{{ config(materialized='table') }}
{%- set household_waves = ref('household_waves') %}
{%- set coverage = ref('coverage') %}

{% for i in indicators() %}
select
    {{ household_keys('household_waves.') }},
    coverage.indicator_id,
    cast(household_waves.{{ adapter.quote(i.indicator_id ~ '__missing') }} as {{ text_type() }}) as missing_reason
from {{ household_waves }} as household_waves
inner join {{ coverage }} as coverage
    on
        coverage.survey_id = household_waves.survey_id
        and coverage.wave = household_waves.wave
        and coverage.indicator_id = '{{ i.indicator_id }}'
        and not ({{ is_missing_for_one_reason('coverage') }})
where household_waves.{{ adapter.quote(i.indicator_id ~ '__missing') }} is not null
{{ 'union all' if not loop.last }}
{% endfor %}
