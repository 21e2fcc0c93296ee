{#- Wide rows for unit tests: `answers` go to the first benefit items of the system's first dimension. Of the other
    items of that dimension, as many as answers were given count as asked; the rest of the catalog was not asked. -#}
{% macro unit_test_households(system, households) -%}
    {%- set all = indicators() -%}
    {%- set dimension = (indicators(system) | first).dimension -%}
    {%- set items = [] -%}
    {%- for i in indicators(system) if i.dimension == dimension and i.direction == 'benefit' -%}
        {%- set _ = items.append(i.indicator_id) -%}
    {%- endfor -%}
    {%- for h in households %}
select
    'invented' as survey_id, '{{ h.household_id }}' as household_id, 'after' as wave, 1 as wave_order,
    'nowhere' as region, 'site' as site_id, cast(1.0 as double) as weight, true as is_synthetic,
    'file' as source_file_id, cast({{ loop.index }} as bigint) as source_row
    {%- for i in all %}
        {%- set position = items.index(i.indicator_id) if i.indicator_id in items else 9999 %}
        {%- set asked = position < h.answers | length %}
        {%- set answer = h.answers[position] if asked else none %},
    cast({{ 'null' if answer is none else answer }} as {{ 'varchar' if i.type == 'category' else 'double' }})
        as {{ adapter.quote(i.indicator_id) }},
    cast({{ ("'" ~ ('not_asked' if not asked else h.reason) ~ "'") if answer is none else 'null' }} as varchar)
        as {{ adapter.quote(i.indicator_id ~ '__missing') }}
    {%- endfor %}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
