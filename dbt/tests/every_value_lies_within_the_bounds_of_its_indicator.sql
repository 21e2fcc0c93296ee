{#- Range checks of the ingest are made from the survey's own declarations; this holds them to the catalog's. -#}
{%- set household_waves = ref('household_waves') %}
{%- set bounded = [] %}
{%- for i in indicators() if i.minimum is not none or i.maximum is not none %}
    {%- set _ = bounded.append(i) %}
{%- endfor %}
{% for i in bounded %}
select survey_id, household_id, wave, '{{ i.indicator_id }}' as indicator_id, {{ adapter.quote(i.indicator_id) }} as value
from {{ household_waves }}
where
    false
    {% if i.minimum is not none %}or {{ adapter.quote(i.indicator_id) }} < {{ i.minimum }}{% endif %}
    {% if i.maximum is not none %}or {{ adapter.quote(i.indicator_id) }} > {{ i.maximum }}{% endif %}
{{ 'union all' if not loop.last }}
{% else %}
select survey_id from {{ household_waves }} where false
{% endfor %}
