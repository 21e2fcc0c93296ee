{#- Exactly one of value and missing reason, for every household, wave and indicator; names the first that has not. -#}
{%- set wrong %}
case
        {%- for i in indicators() %}
        when
            ({{ adapter.quote(i.indicator_id) }} is null) = ({{ adapter.quote(i.indicator_id ~ '__missing') }} is null)
            then '{{ i.indicator_id }}'
        {%- else %}
        when false then ''
        {%- endfor %}
    end
{%- endset %}
select survey_id, household_id, wave, {{ wrong }} as indicator_id
from {{ ref('household_waves') }}
where {{ wrong }} is not null
