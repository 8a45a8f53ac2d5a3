-- What Step Functions is still to be told of a payment, where it keeps the time: the task that waits for our word, or that
-- the payment's execution is yet to be started. Without Step Functions this table is empty.
--
-- It stands beside `payments` and not in it: a token is as long as everything else of a payment together, and every move
-- would write it again. Moves do not touch this table. Whether there is something to say follows from comparing a row with
-- its payment, which whoever moves a payment does at once, and a sweep from `look_at_us` on.
create table executions (
    payment_id uuid    not null,
    task_token text,
    -- The stay that the task stands for: the state, and since when.
    state      text    not null,
    since_us   bigint  not null,
    -- Where the history stood when the task began: of two tasks the later one counts.
    seq        bigint  not null,
    look_at_us bigint  not null,
    looks      integer not null,

    constraint executions_pkey primary key (payment_id),
    constraint executions_token_not_empty check (task_token <> ''),
    constraint executions_looks_from_zero check (looks >= 0)
);

create index executions_look on executions (look_at_us);
