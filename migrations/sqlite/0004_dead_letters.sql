-- Why a payment was sent to a person, each time one was. Named by the history row that sent it.
--
-- What an operator then decides is an event of the payment and stands in its history. Here nothing is ever changed.
create table dead_letters (
    payment_id blob    not null,
    seq        integer not null,
    at_us      integer not null,
    reason     text    not null,
    -- The event that did it, as JSON.
    last_error text    not null,

    constraint dead_letters_pkey primary key (payment_id, seq),
    constraint dead_letters_reason_known check (reason in (
        'retries_exhausted', 'claims_exhausted', 'amounts_disagree', 'inquiry_rejected', 'capture_failed',
        'void_failed', 'refund_failed', 'key_expired', 'contradicting_news'
    ))
) strict, without rowid;

-- Operators read the newest first, page by page; alerts are told of the recent ones.
create index dead_letters_at on dead_letters (at_us, payment_id, seq);

create trigger dead_letters_append_only_update before update on dead_letters
begin
    select raise(abort, 'dead_letters is append-only: update refused');
end;

create trigger dead_letters_append_only_delete before delete on dead_letters
begin
    select raise(abort, 'dead_letters is append-only: delete refused');
end;

create trigger dead_letters_append_only_replace before insert on dead_letters
when exists (select 1 from dead_letters where payment_id = new.payment_id and seq = new.seq)
begin
    select raise(abort, 'dead_letters is append-only: the row is there already');
end;

-- Who has been told of a dead letter, or is about to be: one row for each letter and adapter, from the first attempt on.
-- There is no row for what nobody has tried yet, so an adapter that is configured later finds its work by itself.
--
-- A worker claims a row by moving `next_at_us` into the future before it tells. When it dies, its claim runs out and
-- another one tells; when the adapter fails, `next_at_us` is when to try again.
create table dead_letter_notices (
    payment_id blob    not null,
    seq        integer not null,
    adapter    text    not null,
    attempts   integer not null,
    next_at_us integer not null,
    told_at_us integer,

    constraint dead_letter_notices_pkey primary key (payment_id, seq, adapter),
    constraint dead_letter_notices_attempts_from_one check (attempts >= 1)
) strict, without rowid;
