{#- The five livelihood capitals, their total and livelihood stability of every household, 0-1,
    by the default weight scheme of the catalog. -#}
{{ config(materialized='table') }}

{%- set members = default_scheme_members() %}
{%- set indicator_ids = members | map(attribute='indicator_id') | unique | list %}
{%- set capitals = members | rejectattr('dimension_weight', 'none') | map(attribute='dimension') | unique | list %}
{%- set stabilities = members | selectattr('dimension_weight', 'none') | map(attribute='dimension') | unique | list %}

with bounds as (
    select
        is_synthetic,
        {%- for id in indicator_ids %}
        max(case when indicator_id = '{{ id }}' then lower_bound end) as {{ adapter.quote(id ~ '__lower') }},
        max(case when indicator_id = '{{ id }}' then upper_bound end) as {{ adapter.quote(id ~ '__upper') }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('indicator_bounds') }}
    group by is_synthetic
),

normalised as (
    select
        {{ household_keys('household_waves.') }},
        {{ sampling_columns('household_waves.') }}
        {%- for m in members | unique(attribute='indicator_id') %},
        household_waves.{{ adapter.quote(m.indicator_id ~ '__missing') }},
        {{ normalised(
            'household_waves.' ~ adapter.quote(m.indicator_id),
            'bounds.' ~ adapter.quote(m.indicator_id ~ '__lower'),
            'bounds.' ~ adapter.quote(m.indicator_id ~ '__upper'),
            m.direction
        ) }} as {{ adapter.quote(m.indicator_id ~ '__score') }}
        {%- endfor %}
    from {{ ref('household_waves') }} as household_waves
    inner join bounds on household_waves.is_synthetic = bounds.is_synthetic
),

dimensions as (
    select
        {{ household_keys() }},
        {{ sampling_columns() }}
        {%- for dimension in capitals + stabilities %},
        {%- set parts = [] %}
        {%- for m in members if m.dimension == dimension %}
            {%- set _ = parts.append({
                'asked': is_asked(m.indicator_id), 'weight': m.weight, 'score': adapter.quote(m.indicator_id ~ '__score')
            }) %}
        {%- endfor %}
        {{ composite(parts) }} as {{ adapter.quote(dimension) }},
        {{ answered_count(parts) }} as n_indicators_{{ dimension }}
        {%- endfor %}
    from normalised
)

select
    {{ household_keys('dimensions.') }},
    waves.round,
    '{{ (members | first).scheme }}' as scheme,
    '{{ (members | first).bounds }}' as bounds,
    {{ sampling_columns('dimensions.') }},
    {%- for dimension in capitals %}
    {{ adapter.quote(dimension) }},
    {%- endfor %}
    {%- for dimension in capitals %}
    {%- set weight = (members | selectattr('dimension', 'equalto', dimension) | first).dimension_weight %}
    {{ adapter.quote(dimension) }} * {{ weight }}{{ ' +' if not loop.last else ' as total,' }}
    {%- endfor %}
    {%- for dimension in stabilities %}
    {{ adapter.quote(dimension) }},
    {%- endfor %}
    {%- for dimension in capitals + stabilities %}
    cast(n_indicators_{{ dimension }} as bigint) as n_indicators_{{ dimension }}{{ ',' if not loop.last }}
    {%- endfor %}
from dimensions
{{ with_waves('dimensions') }}
