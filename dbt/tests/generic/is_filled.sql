{#- No row lacks any of the columns. -#}
{% test is_filled(model, columns) %}
select *
from {{ model }}
where {% for column in columns %} {{ adapter.quote(column) }} is null {{ 'or' if not loop.last }} {% endfor %}
{% endtest %}
