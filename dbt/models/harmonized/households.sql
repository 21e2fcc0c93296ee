{{ config(materialized='view') }}

select
    {{ household_keys() }},
    weight
    {%- for i in indicators() %},
    {% if i.type == 'category' -%}
        cast({{ adapter.quote(i.indicator_id) }} as {{ dbt.type_string() }}) as {{ adapter.quote(i.indicator_id) }}
    {%- else -%}
        {{ adapter.quote(i.indicator_id) }}
    {%- endif -%}
    {%- endfor %}
from {{ ref('household_waves') }}
