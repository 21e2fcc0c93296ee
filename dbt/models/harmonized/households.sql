{#- A table: views over it have a branch for each indicator, which are planned in no time only over a plain table. -#}
{{ config(materialized='table') }}

select
    {{ household_keys() }},
    {{ sampling_columns() }}
    {%- for i in indicators() %},
    {% if i.type == 'category' -%}
        cast({{ adapter.quote(i.indicator_id) }} as {{ dbt.type_string() }}) as {{ adapter.quote(i.indicator_id) }}
    {%- else -%}
        {{ adapter.quote(i.indicator_id) }}
    {%- endif -%}
    {%- endfor %}
from {{ ref('household_waves') }}
