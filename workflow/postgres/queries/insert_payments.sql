-- Stores new payments, each with its first history row and its request; returns those that were stored.
--
-- A key that was used before stores nothing and returns nothing: payments and history are joined with the keys that
-- were stored. The key's index decides, so of two clients who ask at once one waits here for the other.
with keyed as (
    insert into idempotency_keys
        (merchant_id, route, key, fingerprint, payment_id, status, body, created_at_us)
    select * from unnest(
        $1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::uuid[], $6::integer[], $7::text[], $8::bigint[]
    )
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
    select input.*, 0 from unnest(
        $9::uuid[], $10::uuid[], $11::text[], $12::text[], $13::bigint[], $14::text[], $15::text[],
        $16::text[], $17::text[], $18::text[], $19::integer[], $20::bigint[], $21::text[], $22::bigint[],
        $23::text[], $24::bigint[], $25::bytea[], $26::bigint[], $27::bigint[], $28::bigint[], $29::integer[],
        $30::integer[], $31::integer[], $32::text[], $33::bigint[], $34::bigint[], $35::bigint[],
        $36::bigint[], $37::text[], $38::text[], $39::bigint[], $40::text[], $41::bigint[], $42::text[],
        $43::bigint[], $44::text[], $45::text[], $58::text[]
    ) as input (id) join keyed on keyed.payment_id = input.id
), written as (
    insert into payment_history (
        payment_id, seq, at_us, event, actor, from_state, to_state, attempt, verdict, data, payload_hash, hash
    )
    select input.* from unnest(
        $46::uuid[], $47::bigint[], $48::bigint[], $49::text[], $50::text[], $51::text[], $52::text[],
        $53::integer[], $54::text[], $55::text[], $56::bytea[], $57::bytea[]
    ) as input (payment_id) join keyed on keyed.payment_id = input.payment_id
), described as (
    insert into payment_metadata (merchant_id, entry, payment_id)
    select input.* from unnest(
        $59::uuid[], $60::uuid[], $61::uuid[]
    ) as input (merchant_id, entry, payment_id) join keyed on keyed.payment_id = input.payment_id
)
select payment_id as "payment_id!" from keyed
