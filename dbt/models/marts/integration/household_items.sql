{#- Integration items turned so that more is better integrated (1-5), and as scores 0-1 by the ends of their scale. -#}
{{ config(materialized='view') }}
{%- set household_waves = ref('household_waves') %}

{% for i in indicators('integration') %}
{%- set value = adapter.quote(i.indicator_id) %}
select
    {{ household_keys() }},
    '{{ i.indicator_id }}' as indicator_id,
    '{{ i.dimension }}' as dimension,
    {% if i.direction == 'cost' -%}
        {{ i.minimum + i.maximum }} - {{ value }} as item,
    {%- else -%}
        {{ value }} as item,
    {%- endif %}
    {{ normalised(value, i.minimum, i.maximum, i.direction) }} as score
from {{ household_waves }}
{{ 'union all' if not loop.last }}
{% endfor %}
