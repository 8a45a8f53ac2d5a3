-- Which programs may use this database. During a rollout two releases do at once, and the older one does not know the newest
-- migrations. A program goes on in a database with migrations it has never heard of, as long as it knows this one.
--
-- Most migrations only add (expand) and leave the number alone. One that takes away what an older program needs (contract) raises
-- it to the first migration whose program can do without:
--
--     update oldest_program set knows_migration = 12;
create table oldest_program (
    one             integer not null default 1,
    knows_migration integer not null,

    constraint oldest_program_pkey primary key (one),
    constraint oldest_program_one_row check (one = 1),
    -- This one looked first; programs before it wanted exactly their own migrations.
    constraint oldest_program_looks check (knows_migration >= 10)
) strict;

insert into oldest_program (knows_migration) values (10);
