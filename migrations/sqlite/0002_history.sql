-- Everything that ever happened to a payment, one row each, numbered 1, 2, 3, … without gaps.
--
-- Rows are chained: `hash` covers the row and the hash of the row before, and the payment carries the last one
-- (`head_hash`). A row that is changed, left out or added later shows.
--
-- No foreign key to `payments`, as on PostgreSQL: history is only ever written in the transaction that writes the
-- payment's row.
create table payment_history (
    payment_id   blob    not null,
    seq          integer not null,
    at_us        integer not null,
    event        text    not null,
    actor        text    not null,
    -- Null in the first row only.
    from_state   text,
    to_state     text    not null,
    attempt      integer not null,
    verdict      text    not null,
    -- The event's fields as canonical JSON, byte for byte as they were hashed.
    data         text    not null,
    -- Hash of the raw bytes this was read from: the PSP's answer, the webhook's body.
    payload_hash blob,
    hash         blob    not null,

    constraint payment_history_pkey primary key (payment_id, seq),

    constraint payment_history_event_known check (event in (
        'started', 'attempt_started', 'registered', 'authorized', 'captured', 'accepted', 'action_required',
        'declined', 'rejected', 'voided', 'refunded', 'untouched', 'unknown', 'not_sent', 'throttled',
        'amounts_disagree', 'capture_failed', 'void_failed', 'refund_failed', 'dispute_opened', 'charged_back',
        'chargeback_reversed', 'dispute_closed', 'key_expired', 'deadline_passed', 'capture_requested', 'cancel_requested',
        'action_completed', 'redriven', 'refund_requested', 'refund_updated', 'retry_requested', 'inquiry_requested', 'noted',
        'resolution_proposed', 'refund_proposed', 'proposal_withdrawn', 'resolved_succeeded', 'resolved_failed',
        'resolved_canceled'
    )),
    constraint payment_history_from_state_known check (from_state in (
        'created', 'authorizing', 'requires_action', 'awaiting_webhook', 'reconciling', 'authorized', 'finalizing',
        'awaiting_capture', 'canceling', 'refunding', 'succeeded', 'failed', 'canceled', 'expired', 'in_review'
    )),
    constraint payment_history_to_state_known check (to_state in (
        'created', 'authorizing', 'requires_action', 'awaiting_webhook', 'reconciling', 'authorized', 'finalizing',
        'awaiting_capture', 'canceling', 'refunding', 'succeeded', 'failed', 'canceled', 'expired', 'in_review'
    )),
    constraint payment_history_verdict_known check (verdict in ('applied', 'stale')),
    constraint payment_history_first_row_from_nowhere check (
        (seq = 1) = (from_state is null) and (seq = 1) = (event = 'started')
    ),
    constraint payment_history_hashes_are_sha256 check (
        length(hash) = 32 and length(payload_hash) = 32
    )
)
-- A payment's rows stand side by side, in the tree of the primary key.
strict, without rowid;

-- Append-only, by force. (Whoever owns the file can drop a trigger; then the chain of hashes tells.)
create trigger payment_history_append_only_update before update on payment_history
begin
    select raise(abort, 'payment_history is append-only: update refused');
end;

create trigger payment_history_append_only_delete before delete on payment_history
begin
    select raise(abort, 'payment_history is append-only: delete refused');
end;

-- `insert or replace` deletes without firing a delete trigger.
create trigger payment_history_append_only_replace before insert on payment_history
when exists (select 1 from payment_history where payment_id = new.payment_id and seq = new.seq)
begin
    select raise(abort, 'payment_history is append-only: the row is there already');
end;
