-- What desks said of tickets: statuses, assignments and merges, one row for each.
CREATE TABLE IF NOT EXISTS {{.Table "ticket_events"}} (
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
    ticket_id        String COMMENT 'Ticket at the desk',
    desk             LowCardinality(String) COMMENT 'zendesk, gorgias, …',
    status           LowCardinality(String) COMMENT 'new, open, pending, on_hold, solved, closed, spam or deleted; empty where the event says nothing of it',
    prior            LowCardinality(String) COMMENT 'Status before; empty for a new ticket',
    native_status    LowCardinality(String) COMMENT 'The desk''s own name of the status',
    reopened         Bool COMMENT 'It was closed and is open again',
    assignee         String COMMENT 'Agent or team assigned with this; empty where unchanged',
    merged_into      String COMMENT 'Ticket that it was merged into; empty where it was not',
    episode          UInt64 COMMENT 'Episode that works on it; 0 for none'
) ENGINE = {{.Engine "MergeTree"}}
PARTITION BY toYYYYMMDD(time)
ORDER BY (shop, time, partition, offset)
TTL toDateTime(time) + INTERVAL 24 MONTH
SETTINGS {{.Settings}};

-- Tickets as the desks told last: status, since when, how often reopened, assignee.
CREATE OR REPLACE VIEW {{.Table "tickets"}} AS
SELECT e.shop AS shop, e.desk AS desk, e.ticket_id AS ticket_id, any(e.address) AS address, any(e.conversation) AS conversation,
    argMaxIf(e.status, tuple(e.decided_at, e.offset), e.status != '') AS status,
    maxIf(e.time, e.status != '') AS since,
    countIf(e.reopened) AS reopened,
    argMaxIf(e.assignee, tuple(e.decided_at, e.offset), e.assignee != '') AS assignee,
    argMaxIf(e.merged_into, tuple(e.decided_at, e.offset), e.merged_into != '') AS merged_into
FROM {{.Name "ticket_events"}} AS e GROUP BY e.shop, e.desk, e.ticket_id;

-- The audit: rows, distinct places in the analytics topic, and their
-- difference, which is 0.
CREATE OR REPLACE VIEW {{.Table "audit"}} AS
SELECT 'messages' AS table, count() AS rows, uniqExact(partition, offset) AS places, rows - places AS repeated FROM {{.Name "messages"}}
UNION ALL SELECT 'episode_events' AS table, count() AS rows, uniqExact(partition, offset) AS places, rows - places AS repeated FROM {{.Name "episode_events"}}
UNION ALL SELECT 'consent_changes' AS table, count() AS rows, uniqExact(partition, offset) AS places, rows - places AS repeated FROM {{.Name "consent_changes"}}
UNION ALL SELECT 'consent_events' AS table, count() AS rows, uniqExact(partition, offset) AS places, rows - places AS repeated FROM {{.Name "consent_events"}}
UNION ALL SELECT 'rule_runs' AS table, count() AS rows, uniqExact(partition, offset) AS places, rows - places AS repeated FROM {{.Name "rule_runs"}}
UNION ALL SELECT 'ticket_events' AS table, count() AS rows, uniqExact(partition, offset) AS places, rows - places AS repeated FROM {{.Name "ticket_events"}}
UNION ALL SELECT 'deliveries' AS table, count() AS rows, uniqExact(partition, offset) AS places, rows - places AS repeated FROM {{.Name "deliveries"}}
UNION ALL SELECT 'rejected' AS table, count() AS rows, uniqExact(partition, offset) AS places, rows - places AS repeated FROM {{.Name "rejected"}};
