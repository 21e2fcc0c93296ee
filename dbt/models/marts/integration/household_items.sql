{#- Integration items turned so that more is better integrated, on the scale 1-5 whatever the scale asked, and as
    scores 0-1 by the ends of that scale. -#}
{{ config(materialized='view') }}
{%- set households = ref('households') %}

{% for i in indicators('integration') %}
{%- set value = adapter.quote(i.indicator_id) %}
select
    {{ household_keys() }},
    '{{ i.indicator_id }}' as indicator_id,
    '{{ i.dimension }}' as dimension,
    1.0 + 4.0 * {{ normalised(value, i.minimum, i.maximum, i.direction) }} as item,
    {{ normalised(value, i.minimum, i.maximum, i.direction) }} as score
from {{ households }}
{{ 'union all' if not loop.last }}
{% endfor %}
