{#- The long view behind the capitals: every member of the default scheme, as answered and normalised 0-1. -#}
{{ config(materialized='view') }}
{%- set households = ref('households') %}
{%- set indicator_bounds = ref('indicator_bounds') %}

{% for m in default_scheme_members() %}
select
    {{ household_keys('households.') }},
    '{{ m.indicator_id }}' as indicator_id,
    '{{ m.dimension }}' as dimension,
    bounds.bounds,
    households.{{ adapter.quote(m.indicator_id) }} as value,
    {{ normalised(
        'households.' ~ adapter.quote(m.indicator_id),
        'bounds.lower_bound', 'bounds.upper_bound', m.direction
    ) }} as value_normalised,
    bounds.lower_bound,
    bounds.upper_bound
from {{ households }} as households
inner join {{ indicator_bounds }} as bounds
    on households.is_synthetic = bounds.is_synthetic and bounds.indicator_id = '{{ m.indicator_id }}'
{{ 'union all' if not loop.last }}
{% endfor %}
