{#- Values of the columns lie between the ends, which belong to the range; missing values pass. Names the
    first column of a row that does not. -#}
{% test lies_between(model, columns, minimum=none, maximum=none) %}
{%- set outside %}
case
    {%- for column in columns %}
    {%- set value, bounds = adapter.quote(column), [] %}
    {%- if minimum is not none %}{% set _ = bounds.append(value ~ ' < ' ~ (minimum - 1e-9)) %}{% endif %}
    {%- if maximum is not none %}{% set _ = bounds.append(value ~ ' > ' ~ (maximum + 1e-9)) %}{% endif %}
    when {{ bounds | join(' or ') }} then '{{ column }}'
    {%- endfor %}
    end
{%- endset %}
select *, {{ outside }} as failed_column
from {{ model }}
where {{ outside }} is not null
{% endtest %}
