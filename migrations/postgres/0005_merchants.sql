-- Who may ask for payments.
create table merchants (
    id            uuid   not null,
    created_at_us bigint not null,

    constraint merchants_pkey primary key (id)
);

-- A merchant's keys. The secret is not here: it has 256 random bits, so its plain SHA-256 cannot be reversed and needs
-- no slow hash, and a request is authenticated by one look into an index.
create table api_keys (
    id             uuid   not null,
    merchant_id    uuid   not null,
    secret_hash    bytea  not null,
    created_at_us  bigint not null,
    revoked_at_us  bigint,

    constraint api_keys_pkey primary key (id),
    constraint api_keys_merchant foreign key (merchant_id) references merchants (id),
    constraint api_keys_secret_hash_unique unique (secret_hash),
    constraint api_keys_secret_hash_is_sha256 check (octet_length(secret_hash) = 32)
);
