create index concurrently orders_by_item on orders (item);
