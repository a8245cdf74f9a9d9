alter table orders add column price integer not null default 0;
insert into orders (item, price) values ('a lamp', 1900);
