-- One row per payment, and the row is the job.
--
-- A payment is a durable state machine. Everything a worker needs to carry it on stands in this row: where it stands,
-- when to look next, who holds it, how often it was tried. There is no table of jobs to keep in step with it. A queue
-- only says "look at this payment"; if the queue forgets, `next_wake_at_us` does not.
--
-- How values are written here, and in every table that follows:
--
-- * Times are `bigint` microseconds since 1970-01-01 UTC, in columns that end in `_at_us`, `_until_us` or `_since_us`.
--   The SQLite schema has no type for instants, and history is hashed over these very numbers: one notation for both
--   databases leaves nothing to be lost in a conversion. Time is always a parameter, never `now()`. To read one:
--   `select to_timestamp(created_at_us / 1e6)`.
-- * Ids are UUIDv7 without the prefix that people see (`ch_…`). They sort by time, so that new rows go to the end of
--   every index they stand in.
-- * Amounts are whole minor units by ISO 4217. There is no float and no `numeric`.
-- * Enums are text with a `check` that repeats the list: readable in every tool, and a value that the program does not
--   know cannot be written by hand either. A test compares the lists with the workflow's definition.
-- * JSON that only the program reads is text. Nothing here asks for a field of it, and `jsonb` would rewrite it.
-- * Every constraint has a name, because an error message carries the name.
create table payments (
    id                      uuid    not null,

    -- What was asked for. None of this ever changes, but for the PSP account and the token there (see `route`).
    --
    -- No foreign key to `merchants`: it would lock and read the merchant's row for every payment, and the busiest
    -- merchant's row would become the busiest row of the system. Merchants are never deleted.
    merchant_id             uuid    not null,
    psp                     text    not null,
    -- A token of the PSP's. Card numbers are turned away at the door.
    payment_method          text    not null,
    amount_minor            bigint  not null,
    currency                text    not null,
    capture_method          text    not null,
    return_url              text,
    description             text,
    metadata                text    not null,
    definition_version      integer not null,
    created_at_us           bigint  not null,
    -- Of a refund: the charge whose money it gives back, that charge's name at the PSP, and why.
    refund_of               uuid,
    refund_of_reference     text,
    refund_reason           text,

    -- What the PSP has proved. News of an amount we did not ask for goes to history and to a person, not here.
    psp_reference           text,
    amount_authorized_minor bigint  not null,
    amount_to_capture_minor bigint,
    amount_captured_minor   bigint  not null,
    amount_refunded_minor   bigint  not null,
    -- Asked to be given back by refunds that have not come to an end. Whoever asks for more compares with it.
    amount_refund_pending_minor bigint  not null,
    failure                 text,
    next_action             text,
    -- What the customer came back with, for the PSP's next call; gone as soon as it is used.
    action_result           text,
    -- Taken back by disputes. It may be more than was captured: fees and exchange rates are the PSP's.
    amount_charged_back_minor bigint  not null,

    -- What is wanted of it, and the number of the operation that the PSP is asked for: part of its idempotency keys.
    goal                    text    not null,
    operation               integer not null,
    -- The idempotency key in use: for which activity, and since when. PSPs remember keys for a limited time; after it the
    -- engine asks instead of repeating. `doubt` says why what happened at the PSP is not known for certain, if so.
    key_activity            text,
    key_since_us            bigint,
    doubt                   text,

    -- JSON: the PSP accounts it went to before, and those it may still go to. Empty for nearly every payment.
    route                   text,
    -- JSON: refunds that the PSP has told of, by its names for them, so that news of one counts once in any order.
    refunds                 text,

    -- What follows changes with nearly every move and stands together: of an updated row the write-ahead log takes only
    -- what lies between the first and the last byte that changed.

    -- Where it stands.
    state                   text    not null,
    state_since_us          bigint  not null,

    -- The machine's bookkeeping. `seq` is the number of the last history row and `head_hash` its hash; every update
    -- compares `seq` and `fence`, so that nobody moves a payment from where it no longer stands.
    seq                     bigint  not null,
    fence                   bigint  not null,
    lease_until_us          bigint,
    next_wake_at_us         bigint,
    attempt                 integer not null,
    claims                  integer not null,
    updated_at_us           bigint  not null,
    head_hash               bytea   not null,

    -- The hour of `next_wake_at_us`: what the index on due rows is made of. The reason stands there.
    wake_hour               integer generated always as ((next_wake_at_us / 3600000000)::integer) stored,

    -- How it ended, or that it has not: for lists of payments in one state. `state` changes with most moves and so stands
    -- in no index; this changes once, with the move that ends the payment.
    standing                text    generated always as (case when next_wake_at_us is null then state else 'open' end) stored,

    constraint payments_pkey primary key (id),

    constraint payments_state_known check (state in (
        'created', 'authorizing', 'requires_action', 'awaiting_webhook', 'reconciling', 'authorized', 'finalizing',
        'awaiting_capture', 'canceling', 'refunding', 'succeeded', 'failed', 'canceled', 'expired', 'in_review'
    )),
    constraint payments_key_activity_known check (
        key_activity in ('authorize', 'reconcile', 'finalize', 'cancel', 'refund')
    ),
    constraint payments_key_used_since check ((key_activity is null) = (key_since_us is null)),
    constraint payments_doubt_known check (doubt in ('unknown', 'key_expired')),
    constraint payments_goal_known check (goal in ('capture', 'hold', 'cancel', 'reverse')),
    constraint payments_capture_method_known check (capture_method in ('automatic', 'manual')),

    -- Whether it is a refund, its id says as well: the last bit.
    constraint payments_refund_named_so check (
        (refund_of is not null) = (get_byte(uuid_send(id), 15) & 1 = 1)
    ),
    constraint payments_refund_of_named check ((refund_of is null) = (refund_of_reference is null)),
    constraint payments_refund_reason_known check (
        refund_reason in ('duplicate', 'fraudulent', 'requested_by_customer')
    ),
    constraint payments_refund_where_refunds_are check (case
        when refund_of is null then state <> 'refunding'
        else state in ('created', 'refunding', 'awaiting_webhook', 'reconciling', 'succeeded', 'failed', 'in_review')
    end),

    -- A payment that has not ended is always due at some time, and one that has ended never is. Without this a payment
    -- could stand still for ever with nobody to notice.
    constraint payments_ended_without_wake check (
        (state in ('succeeded', 'failed', 'canceled', 'expired')) = (next_wake_at_us is null)
    ),
    -- A worker may die: what it holds comes back by itself.
    constraint payments_lease_has_wake check (lease_until_us is null or next_wake_at_us is not null),

    constraint payments_amount_in_range check (amount_minor between 1 and 999999999999),
    constraint payments_to_capture_in_range check (amount_to_capture_minor between 1 and 999999999999),
    -- Money is captured from what was authorized and given back from what was captured.
    constraint payments_captured_of_authorized check (amount_captured_minor <= amount_authorized_minor),
    constraint payments_charged_back_from_zero check (amount_charged_back_minor >= 0),
    constraint payments_refunded_of_captured check (amount_refunded_minor between 0 and amount_captured_minor),
    constraint payments_refund_pending_from_zero check (amount_refund_pending_minor >= 0),
    constraint payments_currency_shaped check (currency ~ '^[a-z]{3}$'),

    constraint payments_counters_from_zero check (
        seq >= 1 and fence >= 0 and attempt >= 0 and claims >= 0 and operation >= 0
    ),
    constraint payments_head_hash_is_sha256 check (octet_length(head_hash) = 32)
)
-- A payment is updated a handful of times within seconds of being inserted. PostgreSQL can put the new version of a row
-- on the page of the old one and leave every index alone (a heap-only tuple, HOT), if the page has room and if no
-- indexed column changed. The room is this: inserts leave more than half of each page free. So much, because payments
-- that came together stand together and are moved together, by one statement: the page has to take a second version of each of
-- its rows, a little longer than the first, before the first ones can be cleared away. (Measured on moves in batches of
-- 100: 76 % are heap-only with a fillfactor of 70, 93 % with 50, 99 % with 45.)
with (fillfactor = 45);

-- The other half of the bargain: what changes with every move (`seq`, `state`, `fence`, `next_wake_at_us`, …) stands in
-- no index, in no index's predicate either.

-- For lists. Ids sort by time, so this also is the order of the pages.
-- What lists search for stands in it too, and never changes: whoever looks for a rare amount reads no payments but those.
create index payments_merchant on payments (merchant_id, id) include (amount_minor, currency);

-- For lists of payments in one state. An entry more when a payment is stored, and one more when it ends: that update
-- cannot be heap-only anyway, because `wake_hour` changes with it.
create index payments_standing on payments (merchant_id, standing, id) include (amount_minor, currency);

-- For the refunds of a charge. A payment keeps its place here for ever.
create index payments_refund_of on payments (refund_of, id) where refund_of is not null;

-- For the sweeper, which asks for rows with `next_wake_at_us <= now`. An index on that column would change with every
-- move. Its hour seldom does, so the sweeper asks for `wake_hour <= this hour and next_wake_at_us <= now`: the index
-- leaves the payments that wake within this hour and those that are overdue, and the exact comparison does the rest.
-- Payments that have ended have no hour and no place in the index.
create index payments_wake_hour on payments (wake_hour) where wake_hour is not null;

-- Which payments have an entry of metadata, for lists. Rows are only ever added, with the payment, and only for payments
-- that have metadata.
--
-- (An index on the column of `payments` would be written again with every update that is not heap-only, for each entry of
-- the payment; this is written once. It could not give the payments of an entry in the order of their ids, either.)
create table payment_metadata (
    merchant_id uuid not null,
    -- The first 16 bytes of SHA-256 over the key, a zero byte and the value: small, and nobody's data a second time.
    entry       uuid not null,
    payment_id  uuid not null,

    constraint payment_metadata_pkey primary key (merchant_id, entry, payment_id)
);
