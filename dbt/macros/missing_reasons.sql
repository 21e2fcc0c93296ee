{#- Where the reason of a missing value is kept: once in coverage for all households, or household by household. -#}

{% macro is_missing_for_one_reason(coverage) -%}
greatest(
    {%- for reason in missing_reasons() -%}
        {{ coverage }}.n_{{ reason }}{{ ', ' if not loop.last }}
    {%- endfor -%}
) = {{ coverage }}.n + {{ coverage }}.n_missing
{%- endmacro %}

{% macro the_reason(coverage) -%}
case
    {%- for reason in missing_reasons() %}
        when {{ coverage }}.n_{{ reason }} > 0 then '{{ reason }}'
    {%- endfor %}
    end
{%- endmacro %}
