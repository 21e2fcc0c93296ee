{#- Bounds of the default weight scheme, pooled over all surveys and waves: stored, because they change the numbers. -#}
{{ config(materialized='table') }}
{%- set household_waves = ref('household_waves') %}

{% for m in default_scheme_members() | unique(attribute='indicator_id') %}
select
    '{{ m.indicator_id }}' as indicator_id,
    '{{ m.bounds }}' as bounds,
    '{{ m.direction }}' as direction,
    min({{ adapter.quote(m.indicator_id) }}) as lower_bound,
    max({{ adapter.quote(m.indicator_id) }}) as upper_bound,
    count({{ adapter.quote(m.indicator_id) }}) as n,
    coalesce(
        min({{ adapter.quote(m.indicator_id) }}) = max({{ adapter.quote(m.indicator_id) }}), true
    ) as is_constant,
    coalesce(bool_or(is_synthetic and {{ adapter.quote(m.indicator_id) }} is not null), false) as is_synthetic
from {{ household_waves }}
{{ 'union all' if not loop.last }}
{% endfor %}
