{#- Weighted composites that respect what was asked.

    A member that the survey did not ask does not count; of the members asked, those answered must carry at least
    `minimum_answered_share` of the weight, else the composite is missing. Weights of the answered members are scaled
    up to sum to one. Each of these gives one SQL expression; `members` are dicts with indicator_id, score (SQL) and
    weight. -#}

{% macro asked_weight(members) -%}
(
    {%- for m in members %}
        case
            when {{ adapter.quote(m.indicator_id ~ '__missing') }} in ('not_asked', 'not_shared') then 0.0
            else {{ m.weight }}
        end{{ ' +' if not loop.last }}
    {%- endfor %}
    )
{%- endmacro %}

{% macro answered_weight(members) -%}
(
    {%- for m in members %}
        case when {{ m.score }} is null then 0.0 else {{ m.weight }} end{{ ' +' if not loop.last }}
    {%- endfor %}
    )
{%- endmacro %}

{% macro answered_count(members) -%}
(
    {%- for m in members %}
        case when {{ m.score }} is null then 0 else 1 end{{ ' +' if not loop.last }}
    {%- endfor %}
    )
{%- endmacro %}

{% macro composite(members) -%}
case
        when
            {{ answered_weight(members) }} > 0.0
            and {{ answered_weight(members) }}
            >= {{ var('minimum_answered_share') }} * {{ asked_weight(members) }}
            -- scores lie between 0 and 1, and so does their mean; without the ends its last digit could lie outside
            then greatest(0.0, least(1.0, (
    {%- for m in members %}
                coalesce({{ m.score }}, 0.0) * {{ m.weight }}{{ ' +' if not loop.last }}
    {%- endfor %}
            ) / {{ answered_weight(members) }}))
    end
{%- endmacro %}

{#- 0-1 by the bounds given; a cost indicator is turned round. No range, no score. -#}
{% macro normalised(value, lower, upper, direction) -%}
    {%- if direction == 'cost' -%}
({{ upper }} - {{ value }}) / nullif({{ upper }} - {{ lower }}, 0.0)
    {%- else -%}
({{ value }} - {{ lower }}) / nullif({{ upper }} - {{ lower }}, 0.0)
    {%- endif -%}
{%- endmacro %}
