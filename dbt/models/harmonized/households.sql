{#- A table: views over it have a branch for each indicator, which DuckDB plans quickly only over a plain table. -#}
{{ config(materialized='table') }}

select
    {{ household_keys('household_waves.') }},
    waves.round,
    {{ sampling_columns('household_waves.') }}
    {%- for i in indicators() %},
    {% if i.type == 'category' -%}
        cast(household_waves.{{ adapter.quote(i.indicator_id) }} as {{ dbt.type_string() }}) as {{ adapter.quote(i.indicator_id) }}
    {%- else -%}
        household_waves.{{ adapter.quote(i.indicator_id) }}
    {%- endif -%}
    {%- endfor %}
from {{ ref('household_waves') }} as household_waves
{{ with_waves('household_waves') }}
