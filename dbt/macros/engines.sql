{#- What differs by engine. Models hold no SQL that only one engine understands; they call these. -#}

{#- How a table is kept of which a run rebuilds some surveys and leaves the rest. -#}
{% macro rebuilt_by_survey() -%}
    {{ return(adapter.dispatch('rebuilt_by_survey')()) }}
{%- endmacro %}

{% macro default__rebuilt_by_survey() -%}
    {{ return('incremental') }}
{%- endmacro %}

{#- Parquet files know no transaction that replaces some rows, so all surveys are built anew. -#}
{% macro spark__rebuilt_by_survey() -%}
    {{ return('table') }}
{%- endmacro %}

{#- Text of any length: the generic name for it differs by engine. -#}
{% macro text_type() -%}
    {{ return(adapter.dispatch('text_type')()) }}
{%- endmacro %}

{% macro default__text_type() -%}
    {{ return('varchar') }}
{%- endmacro %}

{% macro spark__text_type() -%}
    {{ return('string') }}
{%- endmacro %}
