-- One row per episode, folded from its transitions as they come. What is
-- written once and kept is folded with min; what changes is taken from the
-- latest transition, by the clock of the stage and then by offset. Read it
-- through the views episodes and episodes_between.
CREATE TABLE IF NOT EXISTS {{.Table "episode_states"}} (
    shop             LowCardinality(String),
    address          String,
    conversation     LowCardinality(String),
    episode          UInt64 COMMENT 'Number within the conversation',
    day              Date COMMENT 'Day of the signal, by which parts expire',
    channel          SimpleAggregateFunction(anyLast, LowCardinality(String)),
    account          SimpleAggregateFunction(anyLast, LowCardinality(String)),
    signalled_at     SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    offered_at       SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    requested_at     SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    opened_at        SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_reply_at   SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    latest           AggregateFunction(argMax, Tuple(
        state String, signal String, intent String, signal_text String, desk String, ticket_id String,
        ended_at DateTime64(3, 'UTC'), agent_replies UInt32, reopened UInt32
    ), Tuple(DateTime64(3, 'UTC'), Int64)) COMMENT 'The latest transition; ended_at is 1970 for none'
) ENGINE = {{.Engine "AggregatingMergeTree"}}
PARTITION BY toYYYYMMDD(day)
ORDER BY (shop, address, conversation, episode, day)
TTL day + INTERVAL 24 MONTH
SETTINGS {{.Settings}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Table "episode_states_from_events"}} TO {{.Name "episode_states"}} AS
SELECT
    e.shop AS shop, e.address AS address, e.conversation AS conversation, e.episode AS episode,
    toDate(coalesce(e.signalled_at, e.requested_at, e.time)) AS day,
    anyLast(e.channel) AS channel,
    anyLast(e.account) AS account,
    min(e.signalled_at) AS signalled_at,
    min(e.offered_at) AS offered_at,
    min(e.requested_at) AS requested_at,
    min(e.opened_at) AS opened_at,
    min(e.first_reply_at) AS first_reply_at,
    argMaxState(
        CAST(tuple(e.to_state, e.signal, e.intent, e.signal_text, e.desk, e.ticket_id, coalesce(e.ended_at, toDateTime64(0, 3, 'UTC')), e.agent_replies, e.reopened),
            'Tuple(state String, signal String, intent String, signal_text String, desk String, ticket_id String, ended_at DateTime64(3, \'UTC\'), agent_replies UInt32, reopened UInt32)'),
        tuple(e.decided_at, e.offset)
    ) AS latest
FROM {{.Name "episode_events"}} AS e
GROUP BY shop, address, conversation, episode, day;

-- Episodes whose signal came on these days, one row each.
CREATE OR REPLACE VIEW {{.Table "episodes_between"}} AS
SELECT
    shop, any(channel_) AS channel, any(account_) AS account, address, conversation, episode,
    tupleElement(last, 'state') AS state, tupleElement(last, 'signal') AS signal, tupleElement(last, 'intent') AS intent,
    tupleElement(last, 'signal_text') AS signal_text, tupleElement(last, 'desk') AS desk, tupleElement(last, 'ticket_id') AS ticket_id,
    min(signalled_at_) AS signalled_at, min(offered_at_) AS offered_at, min(requested_at_) AS requested_at,
    min(opened_at_) AS opened_at, min(first_reply_at_) AS first_reply_at,
    nullIf(tupleElement(last, 'ended_at'), toDateTime64(0, 3, 'UTC')) AS ended_at,
    tupleElement(last, 'agent_replies') AS agent_replies, tupleElement(last, 'reopened') AS reopened,
    argMaxMerge(latest) AS last
FROM (
    SELECT shop, address, conversation, episode, latest, channel AS channel_, account AS account_, signalled_at AS signalled_at_,
        offered_at AS offered_at_, requested_at AS requested_at_, opened_at AS opened_at_, first_reply_at AS first_reply_at_
    FROM {{.Name "episode_states"}}
    WHERE day >= {first_day:Date} AND day <= {last_day:Date}
)
GROUP BY shop, address, conversation, episode;

-- All episodes, one row each.
CREATE OR REPLACE VIEW {{.Table "episodes"}} AS
SELECT * FROM {{.Name "episodes_between"}}(first_day = '1970-01-01', last_day = '2149-06-06');
