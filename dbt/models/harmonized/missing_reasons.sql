{#- Why a household has no value of an indicator that others of its survey and wave have, or lack for another reason.
    Where nobody has a value and all for one reason, most often because it was not asked, coverage says so once. -#}
{{ config(materialized='table') }}

{{ reasons_by_household(ref('household_waves'), ref('coverage')) }}
