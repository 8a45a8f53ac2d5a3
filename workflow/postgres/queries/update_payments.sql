-- Moves payments by compare-and-set, each with the rows that explain it and with what caused it; returns those that
-- were moved. Everything that is inserted is joined with them, so a payment that has moved on takes nothing along.
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
        state = input.state,
        state_since_us = input.state_since_us,
        goal = input.goal,
        seq = input.seq,
        head_hash = input.head_hash,
        fence = input.fence,
        lease_until_us = input.lease_until_us,
        next_wake_at_us = input.next_wake_at_us,
        attempt = input.attempt,
        claims = input.claims,
        operation = input.operation,
        psp_reference = input.psp_reference,
        amount_authorized_minor = input.amount_authorized_minor,
        amount_to_capture_minor = input.amount_to_capture_minor,
        amount_captured_minor = input.amount_captured_minor,
        amount_refunded_minor = input.amount_refunded_minor,
        failure = input.failure,
        next_action = input.next_action,
        updated_at_us = input.updated_at_us,
        psp = input.psp,
        payment_method = input.payment_method,
        action_result = input.action_result,
        amount_charged_back_minor = input.amount_charged_back_minor,
        key_activity = input.key_activity,
        key_since_us = input.key_since_us,
        doubt = input.doubt,
        route = input.route,
        refunds = input.refunds,
        amount_refund_pending_minor = input.amount_refund_pending_minor,
        proposal = input.proposal
    from unnest(
        $18::uuid[], $19::bigint[], $20::bigint[], $21::text[], $22::bigint[], $23::text[], $24::bigint[],
        $25::bytea[], $26::bigint[], $27::bigint[], $28::bigint[], $29::integer[], $30::integer[], $31::integer[],
        $32::text[], $33::bigint[], $34::bigint[], $35::bigint[], $36::bigint[], $37::text[], $38::text[], $39::bigint[],
        $40::text[], $41::text[], $42::text[], $43::bigint[], $44::text[], $45::bigint[], $46::text[], $47::text[],
        $68::text[], $69::uuid[], $70::bigint[], $78::text[]
    ) as input (
        id, expected_seq, expected_fence, state, state_since_us, goal, seq,
        head_hash, fence, lease_until_us, next_wake_at_us, attempt, claims, operation,
        psp_reference, amount_authorized_minor, amount_to_capture_minor, amount_captured_minor, amount_refunded_minor,
        failure, next_action, updated_at_us,
        psp, payment_method, action_result, amount_charged_back_minor, key_activity, key_since_us, doubt, route,
        refunds, with_id, amount_refund_pending_minor, proposal
    )
    -- Says the same as the line after it, to the planner: rows are found by their ids and locked in the order of them.
    where payments.id = any($18)
        and payments.id = input.id
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
    select input.* from unnest(
        $48::uuid[], $49::bigint[], $50::bigint[], $51::text[], $52::text[], $53::text[], $54::text[],
        $55::integer[], $56::text[], $57::text[], $58::bytea[], $59::bytea[]
    ) as input (payment_id)
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
