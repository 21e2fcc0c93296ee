{#- Values of the columns lie between the ends, which belong to the range; missing values pass. -#}
{% test lies_between(model, columns, minimum=none, maximum=none) %}
select *
from {{ model }}
where
    {%- for column in columns %}
    {%- set bounds = [] %}
    {%- if minimum is not none %}{% set _ = bounds.append(adapter.quote(column) ~ ' < ' ~ (minimum - 1e-9)) %}{% endif %}
    {%- if maximum is not none %}{% set _ = bounds.append(adapter.quote(column) ~ ' > ' ~ (maximum + 1e-9)) %}{% endif %}
    ({{ bounds | join(' or ') }}) {{ 'or' if not loop.last }}
    {%- endfor %}
{% endtest %}
