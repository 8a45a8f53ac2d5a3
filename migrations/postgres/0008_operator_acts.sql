-- What operators do, and what they have stopped.

-- What one person has proposed and another one has to approve, as JSON: how a payment in review ended, or a refund. It is
-- in the payment's row, so that whatever happens to the payment is compared with it in the same statement.
alter table payments add column proposal text;

-- One row for each act of an operator, done or refused, and for each log-in. An act that moved a payment is entered by the
-- statement that moved it.
create table audit_log (
    -- A UUIDv7: sorts by time.
    id              uuid   not null,
    at_us           bigint not null,
    -- The operator's name; of a log-in that failed, the name that was tried.
    actor           text   not null,
    role            text,
    act             text   not null,
    -- What it is about: a payment, or something else with a name.
    payment_id      uuid,
    subject         text,
    reason          text,
    -- Null when it was done.
    refused_because text,
    via             text   not null,
    -- An address, or who was logged in at the machine.
    remote          text,

    constraint audit_log_pkey primary key (id),
    constraint audit_log_act_known check (act in (
        'retry', 'inquire', 'redrive', 'cancel', 'note', 'propose_resolution', 'propose_refund', 'approve', 'withdraw',
        'pause_psp', 'resume_psp', 'log_in', 'log_out', 'add_operator', 'change_operator', 'disable_operator',
        'resend_webhook'
    )),
    constraint audit_log_role_known check (role in ('reader', 'operator')),
    constraint audit_log_via_known check (via in ('cli', 'web'))
);

-- For "what was done to this payment" and "what did this person do", the newest first.
create index audit_log_payment on audit_log (payment_id, id) where payment_id is not null;
create index audit_log_actor on audit_log (actor, id);

create trigger audit_log_append_only
    before update or delete or truncate on audit_log
    for each statement execute function refuse_to_rewrite_history();

-- PSP accounts to which nothing is sent until somebody lets them go on. Who paused and resumed them in the past is in the
-- audit log.
create table psp_pauses (
    psp      text   not null,
    since_us bigint not null,
    by_whom  text   not null,
    why      text   not null,

    constraint psp_pauses_pkey primary key (psp)
);
