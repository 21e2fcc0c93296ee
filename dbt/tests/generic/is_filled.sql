{#- No row lacks any of the columns; names the first that a row lacks. -#}
{% test is_filled(model, columns) %}
{%- set absent %}
case {% for column in columns %} when {{ adapter.quote(column) }} is null then '{{ column }}' {% endfor %} end
{%- endset %}
select *, {{ absent }} as failed_column
from {{ model }}
where {{ absent }} is not null
{% endtest %}
