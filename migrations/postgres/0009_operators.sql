-- People who operate FinCore: who they are, and by what they are logged in.
--
-- What they did stands elsewhere: acts in the payments' histories, acts and log-ins in the audit log.
create table operators (
    id             uuid   not null,
    -- What a person types, and what history and the audit log call them. Never given to somebody else.
    name           text   not null,
    role           text   not null,
    -- Argon2id, as a PHC string with its own salt and costs. Null for those who come through a proxy that knows them.
    password_hash  text,
    created_at_us  bigint not null,
    -- Since when they may not log in. Nobody is deleted: history names them.
    disabled_at_us bigint,

    constraint operators_pkey primary key (id),
    constraint operators_name_unique unique (name),
    constraint operators_role_known check (role in ('reader', 'operator')),
    constraint operators_password_hash_is_argon2id check (password_hash like '$argon2id$%')
);

-- Who is logged in. The token is in the person's cookie and nowhere else: it has 256 random bits, so its plain SHA-256 cannot
-- be reversed. A change of an operator (another password, another role, disabled) ends all of their sessions.
create table operator_sessions (
    token_hash    bytea  not null,
    operator_id   uuid   not null,
    created_at_us bigint not null,
    -- The last request, to the minute or so: a write a minute, not one a request.
    seen_at_us    bigint not null,

    constraint operator_sessions_pkey primary key (token_hash),
    constraint operator_sessions_operator foreign key (operator_id) references operators (id),
    constraint operator_sessions_token_hash_is_sha256 check (octet_length(token_hash) = 32)
);

create index operator_sessions_operator_id on operator_sessions (operator_id);

-- For forgetting those that have run out.
create index operator_sessions_seen on operator_sessions (seen_at_us);

-- How often a log-in may be tried, by name and by address: a leaky bucket each, which one number describes: when it will be
-- empty. Here, because it has to hold over all processes and their restarts. A row whose time has come means nothing.
create table login_throttles (
    -- SHA-256 of what is counted: people type passwords into the field for the name.
    subject     bytea  not null,
    empty_at_us bigint not null,

    constraint login_throttles_pkey primary key (subject),
    constraint login_throttles_subject_is_sha256 check (octet_length(subject) = 32)
);

create index login_throttles_empty on login_throttles (empty_at_us);

-- Events of PSPs that a person has to look at. Nearly always empty, and so is its upkeep.
create index webhook_events_refused on webhook_events (received_at_us) where outcome in ('illegal', 'unreadable');
