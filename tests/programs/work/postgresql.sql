-- Work for postgresql after pgbench: what pgbench left (sums do not depend on the order of its clients), then sorts,
-- hash joins, aggregates, JSON, full text, a procedure, parallel workers, and one query compiled by the JIT.
\set ON_ERROR_STOP on
\pset pager off
SELECT count(*), sum(abalance), md5(string_agg(aid || ':' || abalance, ',' ORDER BY aid)) FROM pgbench_accounts;
SELECT md5(string_agg(tid || ':' || tbalance, ',' ORDER BY tid)) FROM pgbench_tellers;
SELECT count(*), sum(delta), md5(string_agg(concat_ws(':', tid, bid, aid, delta), ',' ORDER BY tid, bid, aid, delta))
  FROM pgbench_history;
CREATE TABLE item AS SELECT i AS id, i * 7919 % 997 AS grp, 'name ' || i * 31 % 60000 AS name,
    jsonb_build_object('n', i, 'list', jsonb_build_array(i, i * 2, repeat('é', i % 40))) AS body
  FROM generate_series(1, 60000) i;
CREATE INDEX ON item (name);
CREATE INDEX ON item USING gin (body);
ANALYZE item;
SET work_mem = '32MB';
SELECT grp, count(*), sum((body -> 'list' ->> 1)::int), max(name COLLATE "C")
  FROM item GROUP BY grp ORDER BY grp LIMIT 15;
SELECT count(*), sum(a.id::bigint * b.id) FROM item a JOIN item b USING (grp) WHERE a.id < 20000;
SELECT md5(string_agg(id || name || r || s, ',' ORDER BY id)) FROM (SELECT id, name, rank() OVER (PARTITION BY grp
    ORDER BY name COLLATE "C") r, sum(length(name)) OVER (PARTITION BY grp ORDER BY id) s FROM item) ranked;
SELECT length(jsonb_agg(body)::text), length(string_agg(name, ',')) FROM item;
SELECT count(*) FROM item WHERE body @> '{"list": [4242]}';
SELECT count(*), sum(length(to_tsvector('english', name || ' running dogs ' || body::text))) FROM item WHERE id < 3000;
SELECT sum(length(regexp_replace(repeat(name, 20), '[3-6]+', '<\&>', 'g'))) FROM item WHERE id < 5000;
DO $$ DECLARE t text := ''; BEGIN FOR i IN 1..20000 LOOP t := t || i; END LOOP; RAISE NOTICE '% %', length(t), md5(t);
  BEGIN PERFORM 1 / (i - i) FROM generate_series(1, 3) i;
    EXCEPTION WHEN division_by_zero THEN RAISE NOTICE 'caught'; END;
END $$;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SELECT grp % 7 AS part, count(*), sum(id), avg(length(name))::numeric(9, 3) FROM item GROUP BY part ORDER BY part;
SET max_parallel_workers_per_gather = 0;
SET jit = on;
SET jit_above_cost = 0;
SET jit_optimize_above_cost = 0;
SET jit_inline_above_cost = 0;
SELECT count(*), sum(CASE WHEN id % 3 = 0 THEN id * 2 ELSE -grp END)
  FROM item WHERE id % 5 <> 0 AND grp BETWEEN 10 AND 900;
SELECT pg_jit_available();
