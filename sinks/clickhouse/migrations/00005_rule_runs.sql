-- Shops' own rules that matched, one row for each rule and thing that happened.
CREATE TABLE IF NOT EXISTS {{.Table "rule_runs"}} (
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
    rule             LowCardinality(String) COMMENT 'Name of the rule',
    asked_at         LowCardinality(String) COMMENT 'ticket_created, ticket_updated, message_created, episode_opened, episode_closed or timer',
    did              Array(String) COMMENT 'Actions it took, in order',
    refused          Array(String) COMMENT 'Actions it did not take, each with the reason',
    lists            Array(LowCardinality(String)) COMMENT 'Lists that the subscriber was put on',
    episode          UInt64 COMMENT 'Episode it happened in; 0 for none',
    ticket_id        String COMMENT 'Ticket at the desk'
) ENGINE = {{.Engine "MergeTree"}}
PARTITION BY toYYYYMMDD(time)
ORDER BY (shop, time, partition, offset)
TTL toDateTime(time) + INTERVAL 24 MONTH
SETTINGS {{.Settings}};

-- Who is on which of a shop's lists, and since when.
CREATE OR REPLACE VIEW {{.Table "subscriber_lists"}} AS
SELECT shop, list, address, min(time) AS since
FROM {{.Name "rule_runs"}} ARRAY JOIN lists AS list
GROUP BY shop, list, address;

-- The audit: rows, distinct places in the analytics topic, and their
-- difference, which is 0.
CREATE OR REPLACE VIEW {{.Table "audit"}} AS
SELECT 'messages' AS table, count() AS rows, uniqExact(partition, offset) AS places, rows - places AS repeated FROM {{.Name "messages"}}
UNION ALL SELECT 'episode_events' AS table, count() AS rows, uniqExact(partition, offset) AS places, rows - places AS repeated FROM {{.Name "episode_events"}}
UNION ALL SELECT 'consent_changes' AS table, count() AS rows, uniqExact(partition, offset) AS places, rows - places AS repeated FROM {{.Name "consent_changes"}}
UNION ALL SELECT 'consent_events' AS table, count() AS rows, uniqExact(partition, offset) AS places, rows - places AS repeated FROM {{.Name "consent_events"}}
UNION ALL SELECT 'rule_runs' AS table, count() AS rows, uniqExact(partition, offset) AS places, rows - places AS repeated FROM {{.Name "rule_runs"}}
UNION ALL SELECT 'deliveries' AS table, count() AS rows, uniqExact(partition, offset) AS places, rows - places AS repeated FROM {{.Name "deliveries"}}
UNION ALL SELECT 'rejected' AS table, count() AS rows, uniqExact(partition, offset) AS places, rows - places AS repeated FROM {{.Name "rejected"}};
