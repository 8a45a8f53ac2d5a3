-- Who may ask for payments.
create table merchants (
    id            blob    not null,
    -- Whether it is about real money. Set when the merchant is made, and never changed: test and live data are apart
    -- because no merchant has both.
    mode          text    not null,
    created_at_us integer not null,

    constraint merchants_pkey primary key (id),
    constraint merchants_mode_known check (mode in ('test', 'live')),
    -- For keys to refer to.
    constraint merchants_mode_unique unique (id, mode)
) strict;

-- A merchant's keys. The secret is not here: it has 256 random bits, so its plain SHA-256 cannot be reversed and needs
-- no slow hash, and a request is authenticated by one look into an index.
create table api_keys (
    id              blob    not null,
    merchant_id     blob    not null,
    -- The merchant's. It stands here so that a key of the other mode cannot be stored.
    mode            text    not null,
    -- What people call it.
    name            text    not null,
    -- What it may do: words with a space in between. No check repeats the list: of a word that only a newer program
    -- knows, an older one grants nothing.
    scopes          text    not null,
    secret_hash     blob    not null,
    created_at_us   integer not null,
    -- Written once an hour or so, not with every request.
    last_used_at_us integer,
    -- From when on it opens nothing. After a rotation this lies ahead for a while.
    revoked_at_us   integer,

    constraint api_keys_pkey primary key (id),
    constraint api_keys_merchant foreign key (merchant_id, mode) references merchants (id, mode),
    constraint api_keys_secret_hash_unique unique (secret_hash),
    constraint api_keys_secret_hash_is_sha256 check (length(secret_hash) = 32)
) strict;
