{#- Exactly one of value and missing reason, for every household, wave and indicator. -#}
{%- set household_waves = ref('household_waves') %}
{% for i in indicators() %}
select survey_id, household_id, wave, '{{ i.indicator_id }}' as indicator_id
from {{ household_waves }}
where ({{ adapter.quote(i.indicator_id) }} is null) = ({{ adapter.quote(i.indicator_id ~ '__missing') }} is null)
{{ 'union all' if not loop.last }}
{% else %}
select survey_id from {{ household_waves }} where false
{% endfor %}
