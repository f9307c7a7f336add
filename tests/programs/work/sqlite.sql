-- Work for sqlite3: bulk inserts, indexes, joins, window functions, JSON, a trigger, growth and deletion, full text.
.bail on
PRAGMA cache_size = -20000;
CREATE TABLE item(id INTEGER PRIMARY KEY, grp INTEGER, name TEXT, body TEXT, data BLOB);
CREATE TABLE log(item INTEGER, what TEXT);
CREATE TRIGGER gone AFTER DELETE ON item BEGIN INSERT INTO log VALUES (old.id, 'deleted ' || old.name); END;
BEGIN;
INSERT INTO item
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
  SELECT i, i * 7919 % 997, printf('name %06d', i * 31 % 60000),
         json_object('n', i, 'list', json_array(i, i * 2, 'é')),
         zeroblob(i * 13 % 300) FROM n;
COMMIT;
CREATE INDEX by_name ON item(name);
CREATE INDEX by_group ON item(grp, id);
ANALYZE;
SELECT grp, count(*), sum(json_extract(body, '$.list[1]')), max(name) FROM item GROUP BY grp ORDER BY grp LIMIT 20;
SELECT count(*), sum(a.id * 1.0 / b.id) FROM item a JOIN item b ON a.name = b.name AND a.grp <= b.grp;
SELECT id, name, rank() OVER (PARTITION BY grp ORDER BY name), sum(length(data)) OVER (PARTITION BY grp ORDER BY id)
  FROM item WHERE grp < 20 ORDER BY id LIMIT 50;
SELECT length(group_concat(name, ',')), length(json_group_array(json(body))) FROM item;
SELECT count(DISTINCT substr(name, 8) || hex(data)) FROM item;
DELETE FROM item WHERE id % 3 = 0;
SELECT count(*), min(what), max(what) FROM log;
CREATE VIRTUAL TABLE words USING fts5(text);
INSERT INTO words SELECT name || ' ' || body FROM item WHERE id < 20000;
SELECT count(*), min(rowid) FROM words WHERE words MATCH '"é" AND name';
WITH RECURSIVE x(s) AS (SELECT 'ab' UNION ALL SELECT s || s FROM x WHERE length(s) < 4000000)
  SELECT max(length(s)) FROM x;
VACUUM;
PRAGMA integrity_check;
.dump log
