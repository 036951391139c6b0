-- The link to the ticket for people, beside every id of a ticket that an episode or the desk tells of.
ALTER TABLE {{.Table "episode_events"}} ADD COLUMN IF NOT EXISTS ticket_url String COMMENT 'Link to the ticket for people; empty until it is known' AFTER ticket_id;

ALTER TABLE {{.Table "ticket_events"}} ADD COLUMN IF NOT EXISTS ticket_url String COMMENT 'Link to the ticket for people; empty until it is known' AFTER ticket_id;

ALTER TABLE {{.Table "deliveries"}} COMMENT COLUMN block_reason 'Why a text was not sent: opted_out, never_confirmed, no_record, paused, gate_shut, expired, quiet_hours, window, country or overtaken';

-- Tickets as the desks told last: link, status, since when, how often reopened, assignee.
CREATE OR REPLACE VIEW {{.Table "tickets"}} AS
SELECT e.shop AS shop, e.desk AS desk, e.ticket_id AS ticket_id, any(e.address) AS address, any(e.conversation) AS conversation,
    argMaxIf(e.ticket_url, tuple(e.decided_at, e.offset), e.ticket_url != '') AS ticket_url,
    argMaxIf(e.status, tuple(e.decided_at, e.offset), e.status != '') AS status,
    maxIf(e.time, e.status != '') AS since,
    countIf(e.reopened) AS reopened,
    argMaxIf(e.assignee, tuple(e.decided_at, e.offset), e.assignee != '') AS assignee,
    argMaxIf(e.merged_into, tuple(e.decided_at, e.offset), e.merged_into != '') AS merged_into
FROM {{.Name "ticket_events"}} AS e GROUP BY e.shop, e.desk, e.ticket_id;
