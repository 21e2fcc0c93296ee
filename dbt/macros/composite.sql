{#- Weighted composites that respect what was asked: the one home of these formulas as SQL. The models call them, and so
    do the results that use other weights (relocation_warehouse/results/formulas.py); analysis.weighting is their oracle.

    A member that the survey did not ask does not count; of the members asked, those answered must carry at least
    `share` of the weight, else the composite is missing. Weights of the answered members are scaled up to sum to one.
    Each of these gives one SQL expression; `members` are dicts with score (SQL), asked (SQL) and weight. -#}

{#- Whether the survey asked, whatever the household answered. -#}
{% macro is_asked(indicator_id) -%}
coalesce({{ adapter.quote(indicator_id ~ '__missing') }} not in ('not_asked', 'not_shared'), true)
{%- endmacro %}

{% macro answered_count(members) -%}
(
    {%- for m in members if m.weight > 0 %}
        case when {{ m.score }} is null then 0 else 1 end{{ ' +' if not loop.last }}
    {%- else -%}
        0
    {%- endfor %}
    )
{%- endmacro %}

{#- Sum of the weights of the members for which the condition under the name `when` holds, or does not. -#}
{% macro weight_where(members, condition) -%}
(
    {%- for m in members %}
        case when {{ m.asked if condition == 'asked' else m.score ~ ' is not null' }} then {{ double(m.weight) }} else {{ double(0.0) }} end
        {{- ' +' if not loop.last }}
    {%- endfor %}
    )
{%- endmacro %}

{% macro composite(members, share=none) -%}
{%- set counted = members | selectattr('weight', 'gt', 0) | list -%}
{%- if not counted -%}
cast(null as double)
{%- else -%}
{%- set answered = weight_where(counted, 'answered') -%}
{#- Weights such as 1/3 + 1/3 + 1/3 may add up to just under the share asked for. -#}
{%- set enough = double((minimum_answered_share() if share is none else share) | float - 1e-12) -%}
{#- Scores lie between 0 and 1, and so does their mean; without the ends its last digit could lie outside. -#}
case
        when
            {{ answered }} > 0.0
            and {{ answered }}
            >= {{ enough }} * {{ weight_where(counted, 'asked') }}
            then greatest(0.0, least(1.0, (
    {%- for m in counted %}
                coalesce({{ m.score }}, 0.0) * {{ double(m.weight) }}{{ ' +' if not loop.last }}
    {%- endfor %}
            ) / {{ answered }}))
    end
{%- endif -%}
{%- endmacro %}

{#- 0-1 by the bounds given; a cost indicator is turned round. No range, no score. -#}
{% macro normalised(value, lower, upper, direction) -%}
    {%- if direction == 'cost' -%}
({{ upper }} - {{ value }}) / nullif({{ upper }} - {{ lower }}, 0.0)
    {%- else -%}
({{ value }} - {{ lower }}) / nullif({{ upper }} - {{ lower }}, 0.0)
    {%- endif -%}
{%- endmacro %}

{#- A number as a double: as a decimal its last digits could be rounded away. -#}
{% macro double(value) -%}
cast({{ value }} as double)
{%- endmacro %}
