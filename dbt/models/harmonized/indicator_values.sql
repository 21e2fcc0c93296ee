{#- The long view: one row per household, wave and indicator, missing values included with their reason. -#}
{{ config(materialized='view') }}
{%- set household_waves = ref('household_waves') %}

{% for i in indicators() %}
select
    {{ household_keys() }},
    '{{ i.indicator_id }}' as indicator_id,
    {% if i.type == 'category' -%}
        cast(null as double) as value, {{ adapter.quote(i.indicator_id) }} as code,
    {%- else -%}
        {{ adapter.quote(i.indicator_id) }} as value, cast(null as varchar) as code,
    {%- endif %}
    '{{ i.unit }}' as unit,
    cast({{ adapter.quote(i.indicator_id ~ '__missing') }} as varchar) as missing_reason
from {{ household_waves }}
{{ 'union all' if not loop.last }}
{% endfor %}
