-- Why a payment was sent to a person, each time one was. Named by the history row that sent it.
--
-- What an operator then decides is an event of the payment and stands in its history. Here nothing is ever changed.
create table dead_letters (
    payment_id uuid   not null,
    seq        bigint not null,
    at_us      bigint not null,
    reason     text   not null,
    -- The event that did it, as JSON.
    last_error text   not null,

    constraint dead_letters_pkey primary key (payment_id, seq),
    constraint dead_letters_reason_known check (reason in (
        'retries_exhausted', 'claims_exhausted', 'amounts_disagree', 'inquiry_rejected', 'capture_failed',
        'void_failed', 'refund_failed', 'key_expired', 'contradicting_news'
    ))
);

-- Operators read the newest first.
create index dead_letters_at on dead_letters (at_us);

create trigger dead_letters_append_only
    before update or delete or truncate on dead_letters
    for each statement execute function refuse_to_rewrite_history();
