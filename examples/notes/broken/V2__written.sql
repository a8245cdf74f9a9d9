alter table notes add column written timestamptz not null default now();
