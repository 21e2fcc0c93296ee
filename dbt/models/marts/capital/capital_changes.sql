{#- How the capitals of the households asked twice changed between the first and the last wave of their survey. -#}
{{ config(materialized='table') }}
{%- set household_capitals = ref('household_capitals') %}
{%- set capitals = default_scheme_members() | rejectattr('dimension_weight', 'none') | map(attribute='dimension')
    | unique | list %}

with ends as (
    select
        survey_id,
        min(wave_order) as first_wave,
        max(wave_order) as last_wave
    from {{ household_capitals }}
    group by survey_id
    having max(wave_order) > min(wave_order)
),

changes as (
    select
        earlier.survey_id,
        earlier.region,
        earlier.is_synthetic
        {%- for capital in capitals %},
        later.{{ adapter.quote(capital) }} - earlier.{{ adapter.quote(capital) }} as {{ adapter.quote(capital) }}
        {%- endfor %}
    from {{ household_capitals }} as earlier
    inner join ends on earlier.survey_id = ends.survey_id and earlier.wave_order = ends.first_wave
    inner join {{ household_capitals }} as later
        on
            earlier.survey_id = later.survey_id
            and earlier.household_id = later.household_id
            and ends.last_wave = later.wave_order
)

{% for capital in capitals %}
select
    survey_id,
    region,
    is_synthetic,
    '{{ capital }}' as capital,
    'balanced' as panel_sample,
    count({{ adapter.quote(capital) }}) as n,
    avg({{ adapter.quote(capital) }}) as mean_change,
    stddev_samp({{ adapter.quote(capital) }}) as sd_change
from changes
group by survey_id, region, is_synthetic
{{ 'union all' if not loop.last }}
{% else %}
select
    survey_id,
    region,
    is_synthetic,
    '' as capital,
    '' as panel_sample,
    count(*) as n,
    avg(0.0) as mean_change,
    avg(0.0) as sd_change
from changes
where false
group by survey_id, region, is_synthetic
{% endfor %}
