-- What came from outside and must not work twice: clients' requests and PSPs' webhooks.
--
-- Both are written in the transaction of what they caused. A crash leaves either both or none.

-- A client's request with the answer it got. A repetition with the same key is answered from here; the same key with
-- another content (`fingerprint`) is refused. Keys of one merchant and one route do not meet those of another.
--
-- Answers are kept for thirty days and then dropped. Keys stay for ever, with the payments they led to: however late a
-- repetition comes, it makes no second payment.
create table idempotency_keys (
    merchant_id   blob    not null,
    -- The route's template, with the id of what it acts on.
    route         text    not null,
    key           text    not null,
    fingerprint   blob    not null,
    -- What it was about; null when it was about no payment, but about a webhook endpoint.
    payment_id    blob,
    -- The HTTP status and the body it was answered with, byte for byte.
    status        integer not null,
    body          text,
    created_at_us integer not null,

    constraint idempotency_keys_pkey primary key (merchant_id, route, key),
    constraint idempotency_keys_status_is_http check (status between 100 and 599),
    constraint idempotency_keys_fingerprint_is_sha256 check (length(fingerprint) = 32)
) strict;

-- For dropping answers. Times only grow, so that a new row goes to the end of it; and a row leaves it with its answer.
create index idempotency_keys_answered on idempotency_keys (created_at_us) where body is not null;

-- The inbox. Every event of a PSP is kept once, with its raw body, whatever became of it. An event that fits no payment
-- yet (it overtook our own call) waits here as `unmatched` and is the only kind of row that may be replaced.
create table webhook_events (
    psp            text    not null,
    -- The PSP's name for the event: unique per PSP.
    event_id       text    not null,
    event_type     text    not null,
    body           blob    not null,
    received_at_us integer not null,
    payment_id     blob,
    outcome        text    not null,

    constraint webhook_events_pkey primary key (psp, event_id),
    constraint webhook_events_outcome_known check (outcome in (
        'applied', 'stale', 'illegal', 'ignored', 'unmatched', 'unreadable'
    ))
) strict;

-- Nearly always empty, and so is its upkeep.
create index webhook_events_unmatched on webhook_events (received_at_us) where outcome = 'unmatched';

-- The names PSPs gave to payments, for events about something else that carry nothing but such a name: a dispute, a refund
-- made at the PSP. Rows are only ever added. (On PostgreSQL an index on the column of `payments` would cost more.)
create table psp_references (
    psp           text not null,
    psp_reference text not null,
    payment_id    blob not null,

    -- What a PSP says is evidence: should it use one name twice, the first stays. The name first: clients ask for it alone.
    constraint psp_references_pkey primary key (psp_reference, psp)
) strict, without rowid;
