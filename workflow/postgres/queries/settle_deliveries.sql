-- Writes down what came of attempts to deliver; returns the endpoints that are disabled by it.
with input as materialized (
    select * from unnest(
        $1::uuid[], $2::uuid[], $3::integer[], $4::bigint[], $5::bigint[], $6::integer[], $7::text[], $8::text[],
        $9::text[], $10::bigint[], $11::bigint[], $12::boolean[]
    ) as input (
        event_id, endpoint_id, attempt, at_us, duration_ms, status, response, error,
        state, next_at_us, rests_until_us, is_gone
    )
), logged as (
    -- Of a delivery that was deleted with its endpoint nothing is written any more.
    insert into outbound_attempts (event_id, endpoint_id, attempt, at_us, duration_ms, status, response, error)
    select input.event_id, input.endpoint_id, input.attempt, at_us, duration_ms, status, response, error
    from input
    join outbound_deliveries as delivery
        on delivery.event_id = input.event_id and delivery.endpoint_id = input.endpoint_id
    on conflict do nothing
), settled as (
    -- What arrived has arrived, whoever says so. That it did not counts only under the last claim.
    update outbound_deliveries as delivery
    set state = input.state, next_attempt_at_us = input.next_at_us
    from input
    where delivery.event_id = input.event_id and delivery.endpoint_id = input.endpoint_id
        and delivery.state = 'pending'
        and (input.state = 'delivered' or delivery.attempts = input.attempt)
), health as materialized (
    select endpoint_id, bool_or(state = 'delivered') as has_arrived, bool_or(is_gone) as is_gone,
        min(at_us) as at_us, max(rests_until_us) as rests_until_us
    from input group by endpoint_id
), judged as (
    update webhook_endpoints as endpoint
    set failing_since_us = case when not health.has_arrived then coalesce(endpoint.failing_since_us, health.at_us) end,
        rests_until_us = health.rests_until_us,
        disabled_at_us = case when verdict.reason is not null then health.at_us end,
        disabled_reason = verdict.reason,
        updated_at_us = case when verdict.reason is null then endpoint.updated_at_us else health.at_us end,
        version = endpoint.version + case when verdict.reason is null then 0 else 1 end
    from health
    join webhook_endpoints as before on before.id = health.endpoint_id
    cross join lateral (
        select case
            when health.is_gone then 'gone'
            when not health.has_arrived and before.failing_since_us <= $13 then 'failing'
        end as reason
    ) as verdict
    where endpoint.id = health.endpoint_id
        and endpoint.disabled_at_us is null
        -- Nothing is written for the usual delivery, which arrives at an endpoint that is well.
        and (
            verdict.reason is not null
            or health.has_arrived = (endpoint.failing_since_us is not null)
            or health.rests_until_us is distinct from endpoint.rests_until_us
        )
    returning endpoint.id, endpoint.disabled_at_us
)
select id from judged where disabled_at_us is not null
