-- Histories that were taken out of the database, and what stands in their place.
--
-- A payment that ended long ago may have its history written to a file and removed here (`fincore archive`). For each there is
-- one statement: how far the removed rows reach, the hash of the last of them, and what they told of the payment's row. So what
-- follows later is chained to what went, and both are verified without the file; with the file, everything is.

create table archived_histories (
    payment_id     blob    not null,
    -- The last row that was removed, and its hash: rows 1 to this one are in the file.
    seq            integer not null,
    head_hash      blob    not null,
    -- As JSON: whose money it was, where it went, and how much of it had moved, by the removed rows.
    told           text    not null,
    archived_at_us integer not null,
    -- The file's name, without a folder, and the SHA-256 of its bytes.
    file           text    not null,
    file_sha256    blob    not null,

    constraint archived_histories_pkey primary key (payment_id),
    constraint archived_histories_seq_from_one check (seq >= 1),
    constraint archived_histories_hashes_are_sha256 check (length(head_hash) = 32 and length(file_sha256) = 32),
    constraint archived_histories_file_is_a_name check (file <> '' and instr(file, '/') = 0)
) strict, without rowid;

create trigger archived_histories_append_only_update before update on archived_histories
begin
    select raise(abort, 'archived_histories is append-only: update refused');
end;

create trigger archived_histories_append_only_delete before delete on archived_histories
begin
    select raise(abort, 'archived_histories is append-only: delete refused');
end;

-- `insert or replace` deletes without firing a delete trigger.
create trigger archived_histories_append_only_replace before insert on archived_histories
when exists (select 1 from archived_histories where payment_id = new.payment_id)
begin
    select raise(abort, 'archived_histories is append-only: the row is there already');
end;

-- History is append-only as before, but for rows of which a statement says that they are archived, to the very hash of the last.
drop trigger payment_history_append_only_delete;

create trigger payment_history_append_only_delete before delete on payment_history
when not exists (
    select 1 from archived_histories as archived
    where archived.payment_id = old.payment_id
        and (old.seq < archived.seq or (old.seq = archived.seq and old.hash = archived.head_hash))
)
begin
    select raise(abort, 'payment_history is append-only: delete refused, the row is not archived');
end;
