-- Claims deliveries that are due, by moving the time of their next attempt to the end of the lease.
--
-- `waiting` jumps from endpoint to endpoint over the index of what is due, so that an endpoint with a hundred thousand
-- deliveries costs as much as one with a single one.
with recursive waiting as (
    (
        select endpoint_id from outbound_deliveries
        where next_attempt_at_us is not null
        order by endpoint_id limit 1
    )
    union all
    select (
        select later.endpoint_id from outbound_deliveries as later
        where later.next_attempt_at_us is not null and later.endpoint_id > waiting.endpoint_id
        order by later.endpoint_id limit 1
    )
    from waiting where waiting.endpoint_id is not null
), longest as materialized (
    -- Each endpoint's share, and of all shares the longest due.
    select found.event_id, found.endpoint_id
    from waiting
    join webhook_endpoints as endpoint on endpoint.id = waiting.endpoint_id
    cross join lateral (
        select event_id, endpoint_id, next_attempt_at_us from outbound_deliveries
        where endpoint_id = endpoint.id and next_attempt_at_us <= $1
        order by next_attempt_at_us
        limit case when endpoint.failing_since_us is null then $4::bigint else 1 end
    ) as found
    where endpoint.disabled_at_us is null
        and (endpoint.rests_until_us is null or endpoint.rests_until_us <= $1)
        and endpoint.id <> all($5::uuid[])
    order by found.next_attempt_at_us
    limit $3
), due as materialized (
    -- Only what is taken is locked. What somebody else is taking at the moment is passed over; what they have taken since
    -- is not due any more.
    select delivery.event_id, delivery.endpoint_id
    from longest
    join outbound_deliveries as delivery
        on delivery.event_id = longest.event_id and delivery.endpoint_id = longest.endpoint_id
    where delivery.next_attempt_at_us <= $1
    for update of delivery skip locked
), claimed as (
    update outbound_deliveries as delivery
    set attempts = delivery.attempts + 1, tries = delivery.tries + 1, next_attempt_at_us = $2
    from due
    where delivery.event_id = due.event_id and delivery.endpoint_id = due.endpoint_id
    returning delivery.event_id, delivery.endpoint_id, delivery.attempts, delivery.tries, delivery.since_us
)
select claimed.event_id, claimed.endpoint_id, claimed.attempts, claimed.tries, claimed.since_us,
    event.payment_id, event.payload, endpoint.url, endpoint.secret, endpoint.former_secret, endpoint.former_secret_expires_at_us,
    endpoint.failing_since_us
from claimed
join outbound_events as event on event.id = claimed.event_id
join webhook_endpoints as endpoint on endpoint.id = claimed.endpoint_id
