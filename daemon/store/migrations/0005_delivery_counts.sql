-- What was delivered to HTTP consumers and came back, and how often: a JSON list of pairs [offset, count].
ALTER TABLE offsets ADD COLUMN failed TEXT NOT NULL DEFAULT '[]';
