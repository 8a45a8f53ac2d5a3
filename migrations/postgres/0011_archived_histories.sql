-- Histories that were taken out of the database, and what stands in their place.
--
-- A payment that ended long ago may have its history written to a file and removed here (`fincore archive`). For each there is
-- one statement: how far the removed rows reach, the hash of the last of them, and what they told of the payment's row. So what
-- follows later is chained to what went, and both are verified without the file; with the file, everything is.

create table archived_histories (
    payment_id     uuid   not null,
    -- The last row that was removed, and its hash: rows 1 to this one are in the file.
    seq            bigint not null,
    head_hash      bytea  not null,
    -- As JSON: whose money it was, where it went, and how much of it had moved, by the removed rows.
    told           text   not null,
    archived_at_us bigint not null,
    -- The file's name, without a folder, and the SHA-256 of its bytes.
    file           text   not null,
    file_sha256    bytea  not null,

    constraint archived_histories_pkey primary key (payment_id),
    constraint archived_histories_seq_from_one check (seq >= 1),
    constraint archived_histories_hashes_are_sha256 check (
        octet_length(head_hash) = 32 and octet_length(file_sha256) = 32
    ),
    constraint archived_histories_file_is_a_name check (file <> '' and position('/' in file) = 0)
);

create trigger archived_histories_append_only
    before update or delete or truncate on archived_histories
    for each statement execute function refuse_to_rewrite_history();

-- History is append-only as before, but for rows of which a statement says that they are archived, to the very hash of the last.
create function refuse_to_lose_history() returns trigger language plpgsql as $$
begin
    if exists (
        select from gone where not exists (
            select from archived_histories as archived
            where archived.payment_id = gone.payment_id
                and (gone.seq < archived.seq or (gone.seq = archived.seq and gone.hash = archived.head_hash))
        )
    ) then
        raise exception 'payment_history is append-only: delete refused, the rows are not archived'
            using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end
$$;

-- Once for all rows of a statement, after it.
create trigger payment_history_deleted_when_archived
    after delete on payment_history
    referencing old table as gone
    for each statement execute function refuse_to_lose_history();

-- After the other one is there: at no time can anybody delete what is not archived.
create or replace trigger payment_history_append_only
    before update or truncate on payment_history
    for each statement execute function refuse_to_rewrite_history();
