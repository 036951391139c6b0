-- The figures. Each says what it counts, and counts distinct ids, episodes or
-- conversations, so nothing is counted twice when a fact was emitted again or
-- an episode reopened. A window takes what happened from `from` on and before
-- `until`. An episode is looked for up to 31 days before the window, where its
-- signal may have come.

-- Escalations per shop and day. escalations: episodes that reached requested
-- on that day; conversations: those with an inbound message on that day,
-- rate: escalated conversations over those.
CREATE OR REPLACE VIEW {{.Table "escalations"}} AS
SELECT shop, day,
    uniqExactIf(episode_key, escalated) AS escalations,
    uniqExactIf(conversation_key, escalated) AS escalated_conversations,
    uniqExactIf(conversation_key, NOT escalated) AS conversations,
    if(conversations = 0, NULL, escalated_conversations / conversations) AS rate
FROM (
    SELECT shop, assumeNotNull(toDate(requested_at)) AS day, tuple(address, conversation) AS conversation_key,
        tuple(address, conversation, episode) AS episode_key, true AS escalated
    FROM {{.Name "episodes_between"}}(first_day = toDate({from:DateTime64(3, 'UTC')}) - 31, last_day = toDate({until:DateTime64(3, 'UTC')}) + 1)
    WHERE requested_at >= {from:DateTime64(3, 'UTC')} AND requested_at < {until:DateTime64(3, 'UTC')}
    UNION ALL
    SELECT shop, toDate(time) AS day, tuple(address, conversation) AS conversation_key,
        tuple('', '', toUInt64(0)) AS episode_key, false AS escalated
    FROM {{.Name "messages"}}
    WHERE direction = 'in' AND time >= {from:DateTime64(3, 'UTC')} AND time < {until:DateTime64(3, 'UTC')}
)
GROUP BY shop, day;

-- The same over the whole window: a conversation that wrote on several days
-- counts once. automated: conversations with an inbound message and neither
-- an agent's reply nor an escalation. closed: episodes closed at the desk,
-- one_touch: those of them after exactly one agent's reply, not reopened.
CREATE OR REPLACE VIEW {{.Table "shop_summary"}} AS
SELECT shop,
    sum(own_escalations) AS escalations,
    countIf(own_escalations > 0) AS escalated_conversations,
    countIf(own_in > 0) AS conversations,
    if(conversations = 0, NULL, escalated_conversations / conversations) AS rate,
    sum(own_in) AS messages_in,
    sum(own_out) AS messages_out,
    countIf(own_in > 0 AND own_escalations = 0 AND NOT by_agent) AS automated,
    if(conversations = 0, NULL, automated / conversations) AS automated_share,
    sum(own_closed) AS closed,
    sum(own_one_touch) AS one_touch,
    if(closed = 0, NULL, one_touch / closed) AS one_touch_rate
FROM (
    SELECT shop, address, conversation,
        uniqExactIf(episode, kind = 'escalation') AS own_escalations,
        uniqExactIf(message_id, kind = 'in') AS own_in,
        uniqExactIf(message_id, kind = 'out' OR kind = 'agent') AS own_out,
        countIf(kind = 'agent') > 0 AS by_agent,
        uniqExactIf(episode, is_closed) AS own_closed,
        uniqExactIf(episode, is_closed AND is_one_touch) AS own_one_touch
    FROM (
        SELECT shop, address, conversation, episode, '' AS message_id, 'escalation' AS kind,
            state = 'closed' AS is_closed, agent_replies = 1 AND reopened = 0 AS is_one_touch
        FROM {{.Name "episodes_between"}}(first_day = toDate({from:DateTime64(3, 'UTC')}) - 31, last_day = toDate({until:DateTime64(3, 'UTC')}) + 1)
        WHERE requested_at >= {from:DateTime64(3, 'UTC')} AND requested_at < {until:DateTime64(3, 'UTC')}
        UNION ALL
        SELECT shop, address, conversation, toUInt64(0) AS episode, message_id,
            multiIf(direction = 'in', 'in', author = 'agent', 'agent', 'out') AS kind, false AS is_closed, false AS is_one_touch
        FROM {{.Name "messages"}}
        WHERE time >= {from:DateTime64(3, 'UTC')} AND time < {until:DateTime64(3, 'UTC')}
    )
    GROUP BY shop, address, conversation
)
GROUP BY shop;

-- Why: escalations (episodes) and their conversations by signal and intent,
-- with some of the texts behind them.
CREATE OR REPLACE VIEW {{.Table "escalation_reasons"}} AS
SELECT shop, signal, intent,
    uniqExact(address, conversation, episode) AS escalations,
    uniqExact(address, conversation) AS conversations,
    groupUniqArray(5)(signal_text) AS texts
FROM {{.Name "episodes_between"}}(first_day = toDate({from:DateTime64(3, 'UTC')}) - 31, last_day = toDate({until:DateTime64(3, 'UTC')}) + 1)
WHERE requested_at >= {from:DateTime64(3, 'UTC')} AND requested_at < {until:DateTime64(3, 'UTC')}
GROUP BY shop, signal, intent;

-- How long, in seconds on the wall clock, over episodes whose signal came in
-- the window and that took the step. offer: signal to offer; confirm: offer to
-- yes; ticket, first_reply, resolution (closed episodes): from the yes, when
-- the clock of a handoff starts; paused: the same to any end.
CREATE OR REPLACE VIEW {{.Table "episode_times"}} AS
SELECT shop, tupleElement(step, 1) AS step, count() AS episodes,
    quantileExact(0.5)(seconds) AS median, quantileExact(0.9)(seconds) AS p90, quantileExact(0.99)(seconds) AS p99
FROM (
    SELECT shop, arrayJoin([
            tuple('offer', signalled_at, offered_at),
            tuple('confirm', offered_at, requested_at),
            tuple('ticket', requested_at, opened_at),
            tuple('first_reply', requested_at, first_reply_at),
            tuple('resolution', if(state = 'closed', requested_at, NULL), ended_at),
            tuple('paused', requested_at, ended_at)
        ]) AS step,
        assumeNotNull(dateDiff('millisecond', tupleElement(step, 2), tupleElement(step, 3))) / 1000 AS seconds
    FROM {{.Name "episodes_between"}}(first_day = toDate({from:DateTime64(3, 'UTC')}), last_day = toDate({until:DateTime64(3, 'UTC')}))
    WHERE signalled_at >= {from:DateTime64(3, 'UTC')} AND signalled_at < {until:DateTime64(3, 'UTC')}
        AND tupleElement(step, 2) IS NOT NULL AND tupleElement(step, 3) IS NOT NULL
)
GROUP BY shop, step;

-- What became of the episodes whose signal came in the window: episodes by
-- their state now, and how many of them were reopened.
CREATE OR REPLACE VIEW {{.Table "episode_outcomes"}} AS
SELECT shop, state, count() AS episodes, countIf(reopened > 0) AS reopened_episodes
FROM {{.Name "episodes_between"}}(first_day = toDate({from:DateTime64(3, 'UTC')}), last_day = toDate({until:DateTime64(3, 'UTC')}))
WHERE signalled_at >= {from:DateTime64(3, 'UTC')} AND signalled_at < {until:DateTime64(3, 'UTC')}
GROUP BY shop, state;

-- Texts that were not sent, by who wrote them and why: distinct texts.
CREATE OR REPLACE VIEW {{.Table "blocked_texts"}} AS
SELECT shop, text_class, block_reason, uniqExact(if(call_id = '', id, call_id)) AS texts
FROM {{.Name "deliveries"}}
WHERE action = 'send_text' AND block_reason != '' AND time >= {from:DateTime64(3, 'UTC')} AND time < {until:DateTime64(3, 'UTC')}
GROUP BY shop, text_class, block_reason;

-- Texts that failed or whose fate is not known, by destination and code:
-- distinct texts, with one of the meanings.
CREATE OR REPLACE VIEW {{.Table "delivery_failures"}} AS
SELECT shop, destination, code, if(status = 'unknown', 'unknown', 'failed') AS outcome,
    uniqExact(if(call_id = '', id, call_id)) AS texts, any(reason) AS meaning
FROM {{.Name "deliveries"}}
WHERE action = 'send_text' AND (status IN ('failed', 'unknown') OR state = 'failed')
    AND time >= {from:DateTime64(3, 'UTC')} AND time < {until:DateTime64(3, 'UTC')}
GROUP BY shop, destination, code, outcome;

-- Texts sent, their segments and credits, by who wrote them: distinct texts.
CREATE OR REPLACE VIEW {{.Table "text_credits"}} AS
SELECT shop, text_class, count() AS texts, sum(text_segments) AS segments, sum(text_credits) AS credits
FROM (
    SELECT shop, text_class, call_id, max(segments) AS text_segments, max(credits) AS text_credits
    FROM {{.Name "deliveries"}}
    WHERE action = 'send_text' AND status = 'done' AND time >= {from:DateTime64(3, 'UTC')} AND time < {until:DateTime64(3, 'UTC')}
    GROUP BY shop, text_class, call_id
)
GROUP BY shop, text_class;

-- Consent: distinct changes per shop and day by what they came from.
CREATE OR REPLACE VIEW {{.Table "consent_daily"}} AS
SELECT shop, toDate(time) AS day, status, source, keyword, uniqExact(id) AS changes, uniqExact(address) AS subscribers
FROM {{.Name "consent_changes"}}
WHERE prior != status AND time >= {from:DateTime64(3, 'UTC')} AND time < {until:DateTime64(3, 'UTC')}
GROUP BY shop, day, status, source, keyword;

-- Every outbound text once, with what became of it.
CREATE OR REPLACE VIEW {{.Table "texts"}} AS
SELECT m.time AS time, m.shop AS shop, m.channel AS channel, m.account AS account, m.address AS address, m.conversation AS conversation,
    m.message_id AS message_id, m.author AS author, m.author_name AS author_name, m.text_class AS text_class, m.text AS text, m.episode AS episode,
    d.outcome AS outcome, d.delivery AS delivery, d.blocked AS block_reason, d.code AS code, d.segments AS segments, d.credits AS credits,
    d.crossed AS crossed
FROM (SELECT * FROM {{.Name "messages"}} WHERE direction = 'out' ORDER BY offset LIMIT 1 BY shop, message_id) AS m
LEFT JOIN (
    SELECT shop, call_id,
        argMaxIf(status, tuple(decided_at, offset), status != '') AS outcome,
        argMaxIf(state, tuple(decided_at, offset), state != '') AS delivery,
        argMaxIf(block_reason, tuple(decided_at, offset), block_reason != '') AS blocked,
        argMaxIf(code, tuple(decided_at, offset), code != '') AS code,
        max(segments) AS segments, max(credits) AS credits, max(crossed) AS crossed
    FROM {{.Name "deliveries"}} WHERE action = 'send_text' GROUP BY shop, call_id
) AS d ON m.shop = d.shop AND m.message_id = d.call_id;

-- The last 30 days, for people and dashboards.
CREATE OR REPLACE VIEW {{.Table "escalations_30d"}} AS
SELECT * FROM {{.Name "escalations"}}(from = now64(3, 'UTC') - INTERVAL 30 DAY, until = now64(3, 'UTC') + INTERVAL 1 HOUR);
CREATE OR REPLACE VIEW {{.Table "shop_summary_30d"}} AS
SELECT * FROM {{.Name "shop_summary"}}(from = now64(3, 'UTC') - INTERVAL 30 DAY, until = now64(3, 'UTC') + INTERVAL 1 HOUR);
CREATE OR REPLACE VIEW {{.Table "escalation_reasons_30d"}} AS
SELECT * FROM {{.Name "escalation_reasons"}}(from = now64(3, 'UTC') - INTERVAL 30 DAY, until = now64(3, 'UTC') + INTERVAL 1 HOUR);
CREATE OR REPLACE VIEW {{.Table "episode_times_30d"}} AS
SELECT * FROM {{.Name "episode_times"}}(from = now64(3, 'UTC') - INTERVAL 30 DAY, until = now64(3, 'UTC') + INTERVAL 1 HOUR);
CREATE OR REPLACE VIEW {{.Table "episode_outcomes_30d"}} AS
SELECT * FROM {{.Name "episode_outcomes"}}(from = now64(3, 'UTC') - INTERVAL 30 DAY, until = now64(3, 'UTC') + INTERVAL 1 HOUR);
CREATE OR REPLACE VIEW {{.Table "blocked_texts_30d"}} AS
SELECT * FROM {{.Name "blocked_texts"}}(from = now64(3, 'UTC') - INTERVAL 30 DAY, until = now64(3, 'UTC') + INTERVAL 1 HOUR);
CREATE OR REPLACE VIEW {{.Table "delivery_failures_30d"}} AS
SELECT * FROM {{.Name "delivery_failures"}}(from = now64(3, 'UTC') - INTERVAL 30 DAY, until = now64(3, 'UTC') + INTERVAL 1 HOUR);
CREATE OR REPLACE VIEW {{.Table "text_credits_30d"}} AS
SELECT * FROM {{.Name "text_credits"}}(from = now64(3, 'UTC') - INTERVAL 30 DAY, until = now64(3, 'UTC') + INTERVAL 1 HOUR);
CREATE OR REPLACE VIEW {{.Table "consent_daily_30d"}} AS
SELECT * FROM {{.Name "consent_daily"}}(from = now64(3, 'UTC') - INTERVAL 30 DAY, until = now64(3, 'UTC') + INTERVAL 1 HOUR);
