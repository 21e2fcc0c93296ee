{#- Range checks of the ingest are made from the survey's own declarations; this holds them to the catalog's.
    Names the first indicator of a household that breaks its bounds; the last digits of a mean of values between them may. -#}
{%- set wrong %}
case
        {%- for i in indicators() %}
        {%- set value = adapter.quote(i.indicator_id) %}
        {%- if i.minimum is not none %}
        when {{ value }} < {{ i.minimum }} - 1e-9 then '{{ i.indicator_id }}'
        {%- endif %}
        {%- if i.maximum is not none %}
        when {{ value }} > {{ i.maximum }} + 1e-9 then '{{ i.indicator_id }}'
        {%- endif %}
        {%- endfor %}
        when false then ''
    end
{%- endset %}
select survey_id, household_id, wave, {{ wrong }} as indicator_id
from {{ ref('household_waves') }}
where {{ wrong }} is not null
