alter table notes rename column text to body;
create index notes_body on notes (body);
