-- One row per payment, and the row is the job.
--
-- A payment is a durable state machine. Everything a worker needs to carry it on stands in this row: where it stands,
-- when to look next, who holds it, how often it was tried. There is no table of jobs to keep in step with it. A queue
-- only says "look at this payment"; if the queue forgets, `next_wake_at_us` does not.
--
-- This folder mirrors the one for PostgreSQL: equal numbers, names, columns and constraints. Where SQLite wants something
-- else, a comment says so.
--
-- How values are written here, and in every table that follows:
--
-- * Tables are `strict`: SQLite would otherwise store any value in any column.
-- * Times are integer microseconds since 1970-01-01 UTC, in columns that end in `_at_us`, `_until_us` or `_since_us`.
--   SQLite has no type for instants, and history is hashed over these very numbers: one notation for both databases
--   leaves nothing to be lost in a conversion. Time is always a parameter, never the database's own. To read one:
--   `select datetime(created_at_us / 1000000, 'unixepoch')`.
-- * Ids are the 16 bytes of a UUIDv7, without the prefix that people see (`ch_…`). They sort by time, so that new rows
--   go to the end of every index they stand in. To read one: `select lower(hex(id))`.
-- * Amounts are whole minor units by ISO 4217. There is no float and no `numeric`.
-- * Enums are text with a `check` that repeats the list: readable in every tool, and a value that the program does not
--   know cannot be written by hand either. A test compares the lists with the workflow's definition.
-- * JSON that only the program reads is text. Nothing here asks for a field of it.
-- * Every constraint has a name, because an error message carries the name.
create table payments (
    id                      blob    not null,

    -- What was asked for. None of this ever changes, but for the PSP account and the token there (see `route`).
    --
    -- No foreign key to `merchants`, as on PostgreSQL, where it would make the busiest merchant's row the busiest row of
    -- the system. Merchants are never deleted.
    merchant_id             blob    not null,
    psp                     text    not null,
    -- A token of the PSP's. Card numbers are turned away at the door.
    payment_method          text    not null,
    amount_minor            integer not null,
    currency                text    not null,
    capture_method          text    not null,
    return_url              text,
    description             text,
    metadata                text    not null,
    definition_version      integer not null,
    created_at_us           integer not null,
    -- Of a refund: the charge whose money it gives back, that charge's name at the PSP, and why.
    refund_of               blob,
    refund_of_reference     text,
    refund_reason           text,

    -- What the PSP has proved. News of an amount we did not ask for goes to history and to a person, not here.
    psp_reference           text,
    amount_authorized_minor integer not null,
    amount_to_capture_minor integer,
    amount_captured_minor   integer not null,
    amount_refunded_minor   integer not null,
    -- Asked to be given back by refunds that have not come to an end. Whoever asks for more compares with it.
    amount_refund_pending_minor integer not null,
    failure                 text,
    next_action             text,
    -- What the customer came back with, for the PSP's next call; gone as soon as it is used.
    action_result           text,
    -- Taken back by disputes. It may be more than was captured: fees and exchange rates are the PSP's.
    amount_charged_back_minor integer not null,

    -- What is wanted of it, and the number of the operation that the PSP is asked for: part of its idempotency keys.
    goal                    text    not null,
    operation               integer not null,
    -- The idempotency key in use: for which activity, and since when. PSPs remember keys for a limited time; after it the
    -- engine asks instead of repeating. `doubt` says why what happened at the PSP is not known for certain, if so.
    key_activity            text,
    key_since_us            integer,
    doubt                   text,

    -- JSON: the PSP accounts it went to before, and those it may still go to. Empty for nearly every payment.
    route                   text,
    refunds                 text,

    -- Where it stands.
    state                   text    not null,
    state_since_us          integer not null,

    -- The machine's bookkeeping. `seq` is the number of the last history row and `head_hash` its hash; every update
    -- compares `seq` and `fence`, so that nobody moves a payment from where it no longer stands.
    seq                     integer not null,
    fence                   integer not null,
    lease_until_us          integer,
    next_wake_at_us         integer,
    attempt                 integer not null,
    claims                  integer not null,
    updated_at_us           integer not null,
    head_hash               blob    not null,

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
        (refund_of is not null) = (instr('13579BDF', substr(hex(id), 32)) > 0)
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
    constraint payments_currency_shaped check (currency glob '[a-z][a-z][a-z]'),

    constraint payments_counters_from_zero check (
        seq >= 1 and fence >= 0 and attempt >= 0 and claims >= 0 and operation >= 0
    ),
    constraint payments_head_hash_is_sha256 check (length(head_hash) = 32)
)
-- `without rowid`: the rows stand in the tree of the primary key itself. Each tree that a commit touches is at least a
-- page of 4 KiB in the write-ahead log, and commits are what SQLite has the fewest of.
strict, without rowid;

-- For lists. Ids sort by time, so this also is the order of the pages. What lists search for stands in it too: whoever looks
-- for a rare amount reads no payments but those.
create index payments_merchant on payments (merchant_id, id, amount_minor, currency);

-- For lists of payments in one state.
create index payments_standing on payments (merchant_id, standing, id, amount_minor, currency);

-- For the refunds of a charge. A payment keeps its place here for ever.
create index payments_refund_of on payments (refund_of, id) where refund_of is not null;

-- For the sweeper, which asks for rows with `next_wake_at_us <= now`. Payments that have ended have no place in it. On
-- PostgreSQL this is an index on the hour, for the sake of heap-only updates, which SQLite has no need of.
create index payments_next_wake on payments (next_wake_at_us) where next_wake_at_us is not null;

-- Which payments have an entry of metadata, for lists. Rows are only ever added, with the payment, and only for payments
-- that have metadata.
--
-- (An index on the column of `payments` would be written again with every update that is not heap-only, for each entry of
-- the payment; this is written once. It could not give the payments of an entry in the order of their ids, either.)
create table payment_metadata (
    merchant_id blob not null,
    -- The first 16 bytes of SHA-256 over the key, a zero byte and the value: small, and nobody's data a second time.
    entry       blob not null,
    payment_id  blob not null,

    constraint payment_metadata_pkey primary key (merchant_id, entry, payment_id)
) strict, without rowid;
