{{ config(materialized='view') }}

select
    {{ household_keys() }},
    weight
    {%- for i in indicators() %},
    {{ adapter.quote(i.indicator_id) }}
    {%- endfor %}
from {{ ref('household_waves') }}
