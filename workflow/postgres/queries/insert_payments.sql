-- Stores new payments, each with its first history row and its request; returns those that were stored.
--
-- Parameters are columns, an array each, taken by the row's place (why: `update_payments.sql`).
--
-- A key that was used before stores nothing and returns nothing: payments and history are joined with the keys that
-- were stored. The key's index decides, so of two clients who ask at once one waits here for the other.
with keyed as (
    insert into idempotency_keys
        (merchant_id, route, key, fingerprint, payment_id, status, body, created_at_us)
    select
        input.merchant_id, ($2::text[])[input.place], ($3::text[])[input.place], ($4::bytea[])[input.place],
        ($5::uuid[])[input.place], ($6::integer[])[input.place], ($7::text[])[input.place],
        ($8::bigint[])[input.place]
    from unnest($1::uuid[]) with ordinality as input (merchant_id, place)
    on conflict do nothing
    returning payment_id
), stored as (
    insert into payments (
        id, merchant_id, psp, payment_method, amount_minor, currency, capture_method, return_url, description,
        metadata, definition_version, created_at_us, state, state_since_us, goal, seq, head_hash, fence,
        lease_until_us, next_wake_at_us, attempt, claims, operation, psp_reference, amount_authorized_minor,
        amount_to_capture_minor, amount_captured_minor, amount_refunded_minor, failure, next_action,
        updated_at_us, action_result, amount_charged_back_minor, key_activity, key_since_us, doubt, route, refunds,
        amount_refund_pending_minor
    )
    select
        input.id, ($10::uuid[])[input.place], ($11::text[])[input.place], ($12::text[])[input.place],
        ($13::bigint[])[input.place], ($14::text[])[input.place], ($15::text[])[input.place],
        ($16::text[])[input.place], ($17::text[])[input.place], ($18::text[])[input.place],
        ($19::integer[])[input.place], ($20::bigint[])[input.place], ($21::text[])[input.place],
        ($22::bigint[])[input.place], ($23::text[])[input.place], ($24::bigint[])[input.place],
        ($25::bytea[])[input.place], ($26::bigint[])[input.place], ($27::bigint[])[input.place],
        ($28::bigint[])[input.place], ($29::integer[])[input.place], ($30::integer[])[input.place],
        ($31::integer[])[input.place], ($32::text[])[input.place], ($33::bigint[])[input.place],
        ($34::bigint[])[input.place], ($35::bigint[])[input.place], ($36::bigint[])[input.place],
        ($37::text[])[input.place], ($38::text[])[input.place], ($39::bigint[])[input.place],
        ($40::text[])[input.place], ($41::bigint[])[input.place], ($42::text[])[input.place],
        ($43::bigint[])[input.place], ($44::text[])[input.place], ($45::text[])[input.place],
        ($58::text[])[input.place], 0
    from unnest($9::uuid[]) with ordinality as input (id, place)
    join keyed on keyed.payment_id = input.id
), written as (
    insert into payment_history (
        payment_id, seq, at_us, event, actor, from_state, to_state, attempt, verdict, data, payload_hash, hash
    )
    select
        input.payment_id, ($47::bigint[])[input.place], ($48::bigint[])[input.place], ($49::text[])[input.place],
        ($50::text[])[input.place], ($51::text[])[input.place], ($52::text[])[input.place],
        ($53::integer[])[input.place], ($54::text[])[input.place], ($55::text[])[input.place],
        ($56::bytea[])[input.place], ($57::bytea[])[input.place]
    from unnest($46::uuid[]) with ordinality as input (payment_id, place)
    join keyed on keyed.payment_id = input.payment_id
), described as (
    insert into payment_metadata (merchant_id, entry, payment_id)
    select input.* from unnest(
        $59::uuid[], $60::uuid[], $61::uuid[]
    ) as input (merchant_id, entry, payment_id) join keyed on keyed.payment_id = input.payment_id
)
select payment_id as "payment_id!" from keyed
