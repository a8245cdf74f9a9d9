create table customers (id bigint primary key, name text not null);

insert into customers
select id, name from people;
