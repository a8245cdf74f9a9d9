create table tags (note bigint references notes, tag text);
insert into tagz values (1, 'first');
