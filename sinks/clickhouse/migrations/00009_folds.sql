-- What episode_states_from_events makes of a range of transitions, for folding it again after a server died while it
-- wrote. What is folded twice is the same: min, argMax and anyLast of equal values.
CREATE OR REPLACE VIEW {{.Table "episode_folds"}} AS
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
WHERE e.partition = {partition:Int32} AND e.offset >= {first_offset:Int64} AND e.offset <= {last_offset:Int64}
GROUP BY shop, address, conversation, episode, day;
