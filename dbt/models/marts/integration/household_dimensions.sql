{#- Social integration of every household by dimension, 0-100: the mean score of the items asked and answered. -#}
{{ config(materialized='table') }}
{%- set household_waves = ref('household_waves') %}
{%- set items = indicators('integration') %}
{%- set dimensions = items | map(attribute='dimension') | unique | list %}

with scored as (
    select
        {{ household_keys() }},
        {{ sampling_columns() }}
        {%- for i in items %},
        {{ adapter.quote(i.indicator_id ~ '__missing') }},
        {{ normalised(adapter.quote(i.indicator_id), i.minimum, i.maximum, i.direction) }}
            as {{ adapter.quote(i.indicator_id ~ '__score') }}
        {%- endfor %}
    from {{ household_waves }}
),

dimensions as (
    select
        {{ household_keys() }},
        {{ sampling_columns() }}
        {%- for dimension in dimensions %},
        {%- set parts = [] %}
        {%- for i in items if i.dimension == dimension %}
            {%- set _ = parts.append({
                'asked': is_asked(i.indicator_id), 'weight': 1.0, 'score': adapter.quote(i.indicator_id ~ '__score')
            }) %}
        {%- endfor %}
        100.0 * {{ composite(parts) }} as {{ dimension }},
        {{ answered_count(parts) }} as n_{{ dimension }}
        {%- endfor %}
    from scored
)

select
    {{ household_keys('dimensions.') }},
    waves.round,
    {{ sampling_columns('dimensions.') }},
    {%- for dimension in dimensions %}
    {{ dimension }},
    {%- endfor %}
    ({{ dimensions | join(' + ') or 'null' }}) / {{ dimensions | length or 1 }}.0 as total,
    {%- for dimension in dimensions %}
    cast(n_{{ dimension }} as bigint) as n_{{ dimension }}{{ ',' if not loop.last }}
    {%- endfor %}
from dimensions
{{ with_waves('dimensions') }}
