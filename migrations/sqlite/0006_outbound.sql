-- What merchants are told: where they want to hear of events, the events, and what became of telling.

-- Where a merchant wants to be told. The row changes when its merchant says so, when we disable it, and when it begins or
-- ends to fail; not with each delivery.
create table webhook_endpoints (
    id               blob   not null,
    merchant_id      blob   not null,
    url              text   not null,
    description      text,
    -- Which types of event, as a JSON list; null for all.
    events           text,

    -- What deliveries are signed with: `whsec_…` is shared with the receiver, `whsk_…` is ours alone. Both have to sign,
    -- so they are stored as they are: who can read this table can sign as us. During a rotation the former one signs as
    -- well.
    secret                      text   not null,
    former_secret               text,
    former_secret_expires_at_us integer,

    -- Since when nothing is sent, and why.
    disabled_at_us   integer,
    disabled_reason  text,
    -- Since when nothing has arrived, while something should have.
    failing_since_us integer,
    -- Until when the receiver asked for peace (`Retry-After`).
    rests_until_us   integer,

    created_at_us    integer not null,
    updated_at_us    integer not null,
    -- Every change by its merchant compares it, and grows it.
    version          integer not null,

    constraint webhook_endpoints_pkey primary key (id),
    constraint webhook_endpoints_merchant foreign key (merchant_id) references merchants (id),
    constraint webhook_endpoints_former_secret_expires check (
        (former_secret is null) = (former_secret_expires_at_us is null)
    ),
    constraint webhook_endpoints_disabled_for_a_reason check ((disabled_at_us is null) = (disabled_reason is null)),
    constraint webhook_endpoints_disabled_reason_known check (disabled_reason in ('requested', 'gone', 'failing'))
) strict;

create index webhook_endpoints_merchant_id on webhook_endpoints (merchant_id, id);

-- Events that somebody wanted to hear of when they happened, written by the statement that moves the payment. Ids sort by
-- time, so the oldest are forgotten in the order of them.
create table outbound_events (
    id            blob   not null,
    merchant_id   blob   not null,
    -- The payment it is about, and the number of the history row it tells of; none for the test of an endpoint.
    payment_id    blob,
    sequence      integer,
    type          text   not null,
    created_at_us integer not null,
    -- The body that is sent, byte for byte.
    payload       text   not null,

    constraint outbound_events_pkey primary key (id),
    constraint outbound_events_sequence_of_payment check ((payment_id is null) = (sequence is null))
) strict;

-- One event on its way to one endpoint. A process claims a row by moving `next_attempt_at_us` into the future before it
-- sends. When it dies, its claim runs out and another one sends; when the receiver fails, it is when to try again.
--
-- No foreign keys, as on PostgreSQL, where they would lock the endpoint's row for every event.
create table outbound_deliveries (
    event_id           blob    not null,
    endpoint_id        blob    not null,
    state              text    not null,
    -- How often it was tried, and how often since it was last asked for.
    attempts           integer not null,
    tries              integer not null,
    -- When it was last asked for: by the event, or by a wish to send it again.
    since_us           integer  not null,
    next_attempt_at_us integer,

    constraint outbound_deliveries_pkey primary key (event_id, endpoint_id),
    constraint outbound_deliveries_state_known check (state in ('pending', 'delivered', 'failed')),
    constraint outbound_deliveries_pending_is_due check ((state = 'pending') = (next_attempt_at_us is not null)),
    constraint outbound_deliveries_counters_from_zero check (tries >= 0 and attempts >= tries)
) strict;

-- An endpoint's log, newest first.
create index outbound_deliveries_endpoint on outbound_deliveries (endpoint_id, event_id);

-- What is due, endpoint by endpoint, so that one with thousands of them hides none of the others'.
create index outbound_deliveries_due on outbound_deliveries (endpoint_id, next_attempt_at_us)
    where next_attempt_at_us is not null;

-- What came of each attempt. Rows are only added.
create table outbound_attempts (
    event_id    blob    not null,
    endpoint_id blob    not null,
    attempt     integer not null,
    at_us       integer  not null,
    duration_ms integer  not null,
    -- What the receiver answered with and the first bytes of what it said, or else why there was no answer.
    status      integer,
    response    text,
    error       text,

    constraint outbound_attempts_pkey primary key (event_id, endpoint_id, attempt),
    constraint outbound_attempts_status_or_error check ((status is null) = (error is not null))
) strict;
