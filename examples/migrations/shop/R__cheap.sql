create or replace view cheap as select id, item from orders where price < 2000;
