-- What happened about consent without being a change of it: possible opt-outs and what was decided of them,
-- wrong numbers, linked addresses. Kept as long as the changes.
CREATE TABLE IF NOT EXISTS {{.Table "consent_events"}} (
    partition        Int32 COMMENT 'Partition of the analytics topic',
    offset           Int64 COMMENT 'Offset in the analytics topic' CODEC(Delta, ZSTD),
    id               String COMMENT 'Id of the fact, hex',
    time             DateTime64(3, 'UTC') COMMENT 'When it happened; the day it is counted in' CODEC(Delta, ZSTD),
    received_at      DateTime64(3, 'UTC') COMMENT 'When Handoff accepted the outside event behind it' CODEC(Delta, ZSTD),
    decided_at       DateTime64(3, 'UTC') COMMENT 'Clock of the stage that reported it' CODEC(Delta, ZSTD),
    shop             LowCardinality(String) COMMENT 'Tenant',
    channel          LowCardinality(String) COMMENT 'sms, whatsapp, messenger, instagram, x, line or wechat',
    account          LowCardinality(String) COMMENT 'The shop''s number, page or account',
    address          String COMMENT 'The subscriber',
    conversation     LowCardinality(String) COMMENT 'Thread, unique under shop and address',
    stage            LowCardinality(String) COMMENT 'Stage that reported it',
    reason           String COMMENT 'Why, in plain words',
    kind             LowCardinality(String) COMMENT 'possible_opt_out, possible_confirmed, possible_declined, possible_undecided, detached, new_subscriber, linked, unlinked or import_outdone',
    text             String COMMENT 'Text it is about' CODEC(ZSTD),
    message_id       String COMMENT 'Message it is about, hex',
    decider          String COMMENT 'Rule or score that took the message, or who decided, linked or imported',
    due_at           Nullable(DateTime64(3, 'UTC')) COMMENT 'When a possible opt-out counts, if nobody decides before',
    subscriber       UInt64 COMMENT 'Number of the subscriber at the address, 0 where it does not matter',
    person           String COMMENT 'Id of the person whose addresses are linked'
) ENGINE = {{.Engine "MergeTree"}}
PARTITION BY toYYYYMMDD(time)
ORDER BY (shop, time, partition, offset)
TTL toDateTime(time) + INTERVAL 5 YEAR
SETTINGS {{.Settings}};

-- Possible opt-outs that nobody has decided yet: the newest word on each conversation is that there is one.
CREATE OR REPLACE VIEW {{.Table "possible_opt_outs"}} AS
SELECT shop, channel, account, address, conversation, since, text, decider, due_at
FROM (
    SELECT shop, address, conversation, any(channel) AS channel, any(account) AS account,
        argMax(kind, tuple(decided_at, offset)) AS last, argMax(text, tuple(decided_at, offset)) AS text, argMax(decider, tuple(decided_at, offset)) AS decider,
        argMax(due_at, tuple(decided_at, offset)) AS due_at, argMax(time, tuple(decided_at, offset)) AS since
    FROM {{.Name "consent_events"}} WHERE startsWith(kind, 'possible_') GROUP BY shop, address, conversation
)
WHERE last = 'possible_opt_out'
ORDER BY due_at;

-- Addresses of one person: the newest word on each.
CREATE OR REPLACE VIEW {{.Table "people"}} AS
SELECT shop, person, address
FROM (
    SELECT shop, address, argMax(kind, tuple(decided_at, offset)) AS last, argMax(person, tuple(decided_at, offset)) AS person
    FROM {{.Name "consent_events"}} WHERE kind IN ('linked', 'unlinked') GROUP BY shop, address
)
WHERE last = 'linked';

-- The audit: rows, distinct places in the analytics topic, and their
-- difference, which is 0.
CREATE OR REPLACE VIEW {{.Table "audit"}} AS
SELECT 'messages' AS table, count() AS rows, uniqExact(partition, offset) AS places, rows - places AS repeated FROM {{.Name "messages"}}
UNION ALL SELECT 'episode_events' AS table, count() AS rows, uniqExact(partition, offset) AS places, rows - places AS repeated FROM {{.Name "episode_events"}}
UNION ALL SELECT 'consent_changes' AS table, count() AS rows, uniqExact(partition, offset) AS places, rows - places AS repeated FROM {{.Name "consent_changes"}}
UNION ALL SELECT 'consent_events' AS table, count() AS rows, uniqExact(partition, offset) AS places, rows - places AS repeated FROM {{.Name "consent_events"}}
UNION ALL SELECT 'deliveries' AS table, count() AS rows, uniqExact(partition, offset) AS places, rows - places AS repeated FROM {{.Name "deliveries"}}
UNION ALL SELECT 'rejected' AS table, count() AS rows, uniqExact(partition, offset) AS places, rows - places AS repeated FROM {{.Name "rejected"}};
