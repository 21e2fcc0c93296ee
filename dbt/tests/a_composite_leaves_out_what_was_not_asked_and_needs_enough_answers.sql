{#- The composite macro on households small enough to check by hand; any row returned is a failure. Scores are written
    as doubles, the type they have in the models: engines divide decimals with different numbers of digits. -#}
{%- set members = [
    {'asked': is_asked('a'), 'weight': 0.5, 'score': 'score_a'},
    {'asked': is_asked('b'), 'weight': 0.25, 'score': 'score_b'},
    {'asked': is_asked('c'), 'weight': 0.25, 'score': 'score_c'},
] %}
with households as (
    select *
    from (
        values
        -- all answered: 0.5 * 1.0 + 0.25 * 0.0 + 0.25 * 0.4
        ('all', 1.0e0, 0.0e0, 0.4e0, null, null, null, 0.6e0, 3),
        -- c was not asked: (0.5 * 1.0 + 0.25 * 0.0) / 0.75
        ('not asked', 1.0e0, 0.0e0, null, null, null, 'not_asked', 0.5e0 / 0.75e0, 2),
        -- a was refused: half of the weight asked is answered, which is just enough
        ('refused', null, 0.2e0, 0.4e0, 'refused', null, null, 0.3e0, 2),
        -- only c is answered of three asked: a quarter of the weight is too little
        ('too few', null, null, 0.4e0, 'blank', 'blank', null, null, 1),
        -- nothing was asked
        ('nothing', null, null, null, 'not_asked', 'not_asked', 'not_asked', null, 0)
    ) as answers (
        household_id, score_a, score_b, score_c, a__missing, b__missing, c__missing, expected, expected_n
    )
),

computed as (
    select
        household_id,
        expected,
        expected_n,
        {{ composite(members) }} as composite,
        {{ answered_count(members) }} as n
    from households
)

select household_id, expected, composite, expected_n, n
from computed
where
    n <> expected_n
    or (composite is null) <> (expected is null)
    or abs(composite - expected) > 1e-12
