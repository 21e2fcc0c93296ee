{#- The columns are filled and no two rows share them. Grain is tested, never made by aggregating. -#}
{% test identifies_a_row(model, columns) %}
select {{ columns | join(', ') }}, count(*) as n_rows
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1 {% for column in columns %} or {{ column }} is null {% endfor %}
{% endtest %}
