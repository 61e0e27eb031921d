-- What is in a name, as sets of three bytes that an index of PostgreSQL's own can hold (search.rs). The index itself is
-- made when somebody first searches (trigrams.rs): it makes new names dearer, and most stores are never searched.
CREATE FUNCTION strongroom.trigrams(name bytea) RETURNS int4[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS $$
    SELECT array_agg(DISTINCT get_byte(name, at) * 65536 + get_byte(name, at + 1) * 256 + get_byte(name, at + 2))
      FROM generate_series(0, length(name) - 3) AS at
$$;

-- Credentials that have all of them, as far as the index says. Whatever the planner estimates, it is not to compute them
-- for each row instead.
CREATE FUNCTION strongroom.named_with(wanted int4[], most int8) RETURNS SETOF uuid
LANGUAGE sql STABLE STRICT
SET enable_seqscan = off SET enable_indexscan = off SET enable_indexonlyscan = off SET enable_bitmapscan = on AS $$
    SELECT id FROM strongroom.records WHERE class = 1 AND strongroom.trigrams(name_key) @> wanted LIMIT most
$$;
