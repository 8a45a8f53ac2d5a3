-- Moves payments by compare-and-set, each with the rows that explain it and with what caused it; returns those that
-- were moved. Everything that is inserted is joined with them, so a payment that has moved on takes nothing along.
-- Parameters are columns, an array each. Rows are made by taking from each array what stands at the row's place: `unnest` of
-- thirty arrays at once costs three times as much, because it puts every value away and fetches it again.
-- Two payments may move together (`with_id`): a refund, and its charge that counts the money. Then both do or none does.

-- Payments whose cause was handled already: a webhook event that is in the inbox and waits no longer, a request whose
-- key is taken. What happens between this look and the inserts below, their indexes decide.
with barred as (
    select event.moving as id
    from unnest($1::uuid[], $2::text[], $3::text[]) as event (moving, psp, event_id)
    cross join lateral (
        select from webhook_events
        where psp = event.psp and event_id = event.event_id and outcome <> 'unmatched'
        limit 1
    ) as handled
    union all
    select request.moving
    from unnest($9::uuid[], $10::uuid[], $11::text[], $12::text[]) as request (moving, merchant_id, route, key)
    cross join lateral (
        select from idempotency_keys
        where merchant_id = request.merchant_id and route = request.route and key = request.key
        limit 1
    ) as handled
), held as (
    -- Of payments that move together, those that still stand where they should. They are locked here, before any of them
    -- is moved; payments that move alone are not looked at twice.
    select payments.id
    from unnest($18::uuid[], $19::bigint[], $20::bigint[], $69::uuid[]) as input (id, expected_seq, expected_fence, with_id)
    join payments on payments.id = input.id
        and payments.seq = input.expected_seq
        and payments.fence = input.expected_fence
    where input.with_id is not null
    order by payments.id
    for update of payments
), moved as (
    update payments set
        state = ($21::text[])[input.place],
        state_since_us = ($22::bigint[])[input.place],
        goal = ($23::text[])[input.place],
        seq = ($24::bigint[])[input.place],
        head_hash = ($25::bytea[])[input.place],
        fence = ($26::bigint[])[input.place],
        lease_until_us = ($27::bigint[])[input.place],
        next_wake_at_us = ($28::bigint[])[input.place],
        attempt = ($29::integer[])[input.place],
        claims = ($30::integer[])[input.place],
        operation = ($31::integer[])[input.place],
        psp_reference = ($32::text[])[input.place],
        amount_authorized_minor = ($33::bigint[])[input.place],
        amount_to_capture_minor = ($34::bigint[])[input.place],
        amount_captured_minor = ($35::bigint[])[input.place],
        amount_refunded_minor = ($36::bigint[])[input.place],
        failure = ($37::text[])[input.place],
        next_action = ($38::text[])[input.place],
        updated_at_us = ($39::bigint[])[input.place],
        psp = ($40::text[])[input.place],
        payment_method = ($41::text[])[input.place],
        action_result = ($42::text[])[input.place],
        amount_charged_back_minor = ($43::bigint[])[input.place],
        key_activity = ($44::text[])[input.place],
        key_since_us = ($45::bigint[])[input.place],
        doubt = ($46::text[])[input.place],
        route = ($47::text[])[input.place],
        refunds = ($68::text[])[input.place],
        amount_refund_pending_minor = ($70::bigint[])[input.place],
        proposal = ($78::text[])[input.place]
    -- Each is looked up by itself, as the first one from its id on, so that whatever the planner thinks of the table when it
    -- makes the plan that is then kept, there is one index that tells. (Looked up as equal, on an empty table any index
    -- that has the id somewhere costs the same, and is then read from end to end for each payment.) They are locked in
    -- the order of the parameters, which is that of their ids. One that somebody moves meanwhile has another `seq`
    -- by then, and is left alone.
    from unnest($18::uuid[], $19::bigint[], $20::bigint[], $69::uuid[]) with ordinality
        as input (id, expected_seq, expected_fence, with_id, place)
    cross join lateral (
        select sought.id, sought.ctid as spot from payments as sought where sought.id >= input.id order by sought.id limit 1
    ) as found
    where payments.ctid = found.spot
        and found.id = input.id
        and payments.seq = input.expected_seq
        and payments.fence = input.expected_fence
        and payments.id not in (select id from barred)
        and (
            input.with_id is null
            or input.with_id in (select id from held) and input.with_id not in (select id from barred)
        )
    returning payments.id, payments.merchant_id as owner_id
), opened as (
    insert into payments (
        id, merchant_id, psp, payment_method, amount_minor, currency, capture_method, metadata, definition_version,
        created_at_us, refund_of, refund_of_reference, refund_reason, state, state_since_us, goal, seq, head_hash, fence,
        next_wake_at_us, attempt, claims, operation, amount_authorized_minor, amount_captured_minor,
        amount_refunded_minor, amount_refund_pending_minor, amount_charged_back_minor, updated_at_us
    )
    select
        input.id, input.merchant_id, input.psp, input.payment_method, input.amount_minor, input.currency,
        input.capture_method, input.metadata, input.definition_version, input.created_at_us, input.refund_of,
        input.refund_of_reference, input.refund_reason, input.state, input.state_since_us, input.goal, input.seq,
        input.head_hash, input.fence, input.next_wake_at_us, input.attempt, input.claims, input.operation, 0, 0, 0, 0, 0,
        input.updated_at_us
    from jsonb_populate_recordset(null::payments, $71::text::jsonb) as input
    join moved on moved.id = input.refund_of
    returning id
), history as (
    insert into payment_history (
        payment_id, seq, at_us, event, actor, from_state, to_state, attempt, verdict, data, payload_hash, hash
    )
    select
        input.payment_id, ($49::bigint[])[input.place], ($50::bigint[])[input.place], ($51::text[])[input.place],
        ($52::text[])[input.place], ($53::text[])[input.place], ($54::text[])[input.place],
        ($55::integer[])[input.place], ($56::text[])[input.place], ($57::text[])[input.place],
        ($58::bytea[])[input.place], ($59::bytea[])[input.place]
    from unnest($48::uuid[]) with ordinality as input (payment_id, place)
    join (select id from moved union all select id from opened) as written on written.id = input.payment_id
), inbox as (
    insert into webhook_events (psp, event_id, event_type, body, received_at_us, payment_id, outcome)
    select psp, event_id, event_type, body, received_at_us, payment_id, outcome from unnest(
        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::bigint[], $7::uuid[], $8::text[]
    ) as input (moving, psp, event_id, event_type, body, received_at_us, payment_id, outcome)
    join moved on moved.id = input.moving
    -- An event that waited is replaced. One that somebody else has handled since we looked is set to null, which its
    -- column refuses: the whole statement then counts for nothing, as it must, and the adapter takes its elements one
    -- by one.
    on conflict (psp, event_id) do update set
        event_type = excluded.event_type,
        body = excluded.body,
        received_at_us = excluded.received_at_us,
        payment_id = excluded.payment_id,
        outcome = case webhook_events.outcome when 'unmatched' then excluded.outcome end
), answered as (
    insert into idempotency_keys (merchant_id, route, key, fingerprint, payment_id, status, body, created_at_us)
    select merchant_id, route, key, fingerprint, payment_id, status, body, created_at_us from unnest(
        $9::uuid[], $10::uuid[], $11::text[], $12::text[], $13::bytea[], $14::uuid[], $15::integer[], $16::text[],
        $17::bigint[]
    ) as input (moving, merchant_id, route, key, fingerprint, payment_id, status, body, created_at_us)
    join moved on moved.id = input.moving
), named as (
    insert into psp_references (psp, psp_reference, payment_id)
    select psp, psp_reference, payment_id from unnest(
        $65::uuid[], $66::text[], $67::text[]
    ) as input (payment_id, psp, psp_reference) join moved on moved.id = input.payment_id
    on conflict do nothing
), entered as (
    -- What operators did, in the audit log.
    insert into audit_log
    select input.* from jsonb_populate_recordset(null::audit_log, $79::text::jsonb) as input
    join moved on moved.id = input.payment_id
), dead as (
    insert into dead_letters (payment_id, seq, at_us, reason, last_error)
    select input.* from unnest(
        $60::uuid[], $61::bigint[], $62::bigint[], $63::text[], $64::text[]
    ) as input (payment_id) join moved on moved.id = input.payment_id
), wanted as materialized (
    -- Events, once for each endpoint that wants to hear of them. Nothing is written of what nobody wants to hear.
    select input.*, moved.owner_id as merchant_id, endpoint.id as endpoint_id
    from unnest(
        $72::uuid[], $73::uuid[], $74::bigint[], $75::text[], $76::bigint[], $77::text[]
    ) as input (event_id, payment_id, sequence, type, at_us, payload)
    join moved on moved.id = input.payment_id
    join webhook_endpoints as endpoint
        on endpoint.merchant_id = moved.owner_id
        and endpoint.disabled_at_us is null
        and (endpoint.events is null or endpoint.events::jsonb ? input.type)
), announced as (
    insert into outbound_events (id, merchant_id, payment_id, sequence, type, created_at_us, payload)
    select distinct on (event_id) event_id, merchant_id, payment_id, sequence, type, at_us, payload from wanted
), addressed as (
    insert into outbound_deliveries (
        event_id, endpoint_id, state, attempts, tries, since_us, next_attempt_at_us
    )
    select event_id, endpoint_id, 'pending', 0, 0, at_us, at_us from wanted
)
select id from moved
