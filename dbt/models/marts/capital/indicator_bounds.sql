{#- Bounds of the default weight scheme, pooled over the waves of all real surveys, and of all made-up ones: stored,
    because they change the numbers. All indicators are read in one pass. -#}
{{ config(materialized='table') }}

{%- set scheme = default_scheme_members() %}
{%- set members = scheme | unique(attribute='indicator_id') | list %}
{%- set columns = ['lower_bound', 'upper_bound', 'n'] %}

with pooled as (
    select
        is_synthetic,
        {%- for m in members %}
        {%- set value = adapter.quote(m.indicator_id) %}
        min({{ value }}) as {{ adapter.quote(m.indicator_id ~ '__lower_bound') }},
        max({{ value }}) as {{ adapter.quote(m.indicator_id ~ '__upper_bound') }},
        count({{ value }}) as {{ adapter.quote(m.indicator_id ~ '__n') }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('household_waves') }}
    group by is_synthetic
),

chosen as (
    select
        indicators.indicator_id,
        indicators.direction,
        pooled.is_synthetic
        {%- for column in columns %},
        case indicators.indicator_id
            {%- for m in members %}
            when '{{ m.indicator_id }}' then {{ adapter.quote(m.indicator_id ~ '__' ~ column) }}
            {%- endfor %}
        end as {{ column }}
        {%- endfor %}
    from {{ source('reference', 'indicators') }} as indicators
    cross join pooled
    where indicators.indicator_id in ('{{ members | join("', '", attribute="indicator_id") }}')
)

select
    indicator_id,
    '{{ scheme | map(attribute="bounds") | first }}' as bounds,
    direction,
    lower_bound,
    upper_bound,
    n,
    coalesce(lower_bound = upper_bound, true) as is_constant,
    is_synthetic
from chosen
