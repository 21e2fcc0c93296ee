{#- What differs by engine. Models hold no SQL that only one engine understands; they call these. -#}

{#- What the households of all waves are: a view over the tables of the waves, or one table. -#}
{% macro household_waves_kind() -%}
    {{ return(adapter.dispatch('household_waves_kind')()) }}
{%- endmacro %}

{% macro default__household_waves_kind() -%}
    {{ return('view') }}
{%- endmacro %}

{#- Parquet files know no transaction that replaces some rows, so all surveys are built anew. -#}
{% macro spark__household_waves_kind() -%}
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
