-- Points in PostgreSQL. A transaction's row is its history and its mark against repetition at once: transaction ids are
-- scoped to their member, as in Tallystick, so that the primary key is also the index by which a member's history is read.

-- Half of each page is left free: an update finds room in its own page, and touches no index.
CREATE TABLE member (id uuid PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE operation (
  member uuid NOT NULL,
  id uuid NOT NULL,
  moved bigint NOT NULL,
  occurred_at bigint NOT NULL,
  PRIMARY KEY (member, id)
);

-- Members 1 .. N, with nothing yet.
CREATE FUNCTION enrol(members bigint) RETURNS void LANGUAGE sql AS $$
  INSERT INTO member SELECT lpad(to_hex(i), 32, '0')::uuid, 0 FROM generate_series(1, members) AS i
$$;

-- One operation; returns a character, see PeerOutcome in peer.h. The update comes first, since it locks the member: after
-- it nobody else can add this transaction, and the following statement sees all that was committed before.
CREATE FUNCTION apply_one(a_member uuid, a_id uuid, a_moved bigint, an_instant bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  known operation;
BEGIN
  UPDATE member SET balance = balance + a_moved WHERE id = a_member AND balance + a_moved >= 0;
  IF FOUND THEN
    INSERT INTO operation SELECT a_member, a_id, a_moved, an_instant
      WHERE NOT EXISTS (SELECT FROM operation o WHERE o.member = a_member AND o.id = a_id);
    IF FOUND THEN RETURN '0'; END IF;
    UPDATE member SET balance = balance - a_moved WHERE id = a_member;
  END IF;
  SELECT * INTO known FROM operation o WHERE o.member = a_member AND o.id = a_id;
  IF NOT FOUND THEN RETURN '1'; END IF;
  RETURN CASE WHEN known.moved = a_moved AND known.occurred_at = an_instant THEN '2' ELSE '3' END;
END
$$;

-- Many operations; returns a character for each. The first `firsts` are of different members, in ascending order, and are
-- applied as a set. What the set leaves (too small a balance), the whole set if it has a transaction that is known, and
-- then the operations that follow, of members that had one already, are applied one by one.
CREATE FUNCTION apply_batch(members uuid[], ids uuid[], movements bigint[], instants bigint[], firsts integer)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  applied bigint[];
  place bigint;
  outcomes text := repeat('0', cardinality(ids));
BEGIN
  BEGIN
    WITH moved AS (
      UPDATE member m SET balance = m.balance + a.moved
        FROM unnest(members, ids, movements, instants) WITH ORDINALITY AS a(member, id, moved, occurred_at, place)
        WHERE a.place <= firsts AND m.id = a.member AND m.balance + a.moved >= 0
        RETURNING a.member, a.id, a.moved, a.occurred_at, a.place
    ), kept AS (
      INSERT INTO operation SELECT moved.member, moved.id, moved.moved, moved.occurred_at FROM moved
    )
    SELECT array_agg(moved.place) INTO applied FROM moved;
  EXCEPTION WHEN unique_violation THEN
    applied := NULL;
  END;
  IF coalesce(cardinality(applied), 0) < firsts THEN
    FOR place IN SELECT generate_series(1, firsts) EXCEPT SELECT unnest(applied) ORDER BY 1 LOOP
      outcomes := overlay(outcomes PLACING apply_one(members[place], ids[place], movements[place], instants[place])
                          FROM place::integer);
    END LOOP;
  END IF;
  FOR place IN firsts + 1 .. cardinality(ids) LOOP
    outcomes := overlay(outcomes PLACING apply_one(members[place], ids[place], movements[place], instants[place])
                        FROM place::integer);
  END LOOP;
  RETURN outcomes;
END
$$;
