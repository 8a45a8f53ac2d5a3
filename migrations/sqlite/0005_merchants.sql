-- Who may ask for payments.
create table merchants (
    id            blob    not null,
    created_at_us integer not null,

    constraint merchants_pkey primary key (id)
) strict;

-- A merchant's keys. The secret is not here: it has 256 random bits, so its plain SHA-256 cannot be reversed and needs
-- no slow hash, and a request is authenticated by one look into an index.
create table api_keys (
    id             blob    not null,
    merchant_id    blob    not null,
    secret_hash    blob    not null,
    created_at_us  integer not null,
    revoked_at_us  integer,

    constraint api_keys_pkey primary key (id),
    constraint api_keys_merchant foreign key (merchant_id) references merchants (id),
    constraint api_keys_secret_hash_unique unique (secret_hash),
    constraint api_keys_secret_hash_is_sha256 check (length(secret_hash) = 32)
) strict;
