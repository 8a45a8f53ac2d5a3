with input as (
    select input.*
    from unnest($1::uuid[], $2::bigint[], $3::bytea[], $4::text[], $5::bigint[], $6::text[], $7::bytea[])
        as input (payment_id, seq, head_hash, told, archived_at_us, file, file_sha256)
),
-- Those that stand where their statement ends, and have ended there.
stated as (
    insert into archived_histories (payment_id, seq, head_hash, told, archived_at_us, file, file_sha256)
    select input.* from input
    join payments on payments.id = input.payment_id
    where payments.seq = input.seq and payments.head_hash = input.head_hash and payments.next_wake_at_us is null
    on conflict do nothing
    returning payment_id, seq
),
removed as (
    delete from payment_history using stated
    where payment_history.payment_id = stated.payment_id and payment_history.seq <= stated.seq
),
entered as (
    insert into audit_log
    select entry.* from jsonb_populate_recordset(null::audit_log, $8::text::jsonb) as entry
    where exists (select from stated)
)
select payment_id from stated
