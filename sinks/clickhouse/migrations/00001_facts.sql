-- A message in or out. One row per fact, in every table. Figures count distinct ids, so a fact that was emitted
-- again is not counted again; partition and offset are for the audit.
CREATE TABLE IF NOT EXISTS {{.Table "messages"}} (
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
    message_id       String COMMENT 'Inbound: id of the record; outbound: id of the call, see deliveries.call_id; hex',
    direction        LowCardinality(String) COMMENT 'in or out',
    author           LowCardinality(String) COMMENT 'customer, agent, bot, rule, system or platform',
    author_name      String COMMENT 'Name of the agent',
    text             String COMMENT 'Text of the message' CODEC(ZSTD),
    media            UInt32 COMMENT 'Number of attachments',
    text_class       LowCardinality(String) COMMENT 'Outbound: agent, bot, rule, system or keyword_answer',
    intent           LowCardinality(String) COMMENT 'Inbound: intent as classified; empty when unsure',
    confidence       Float32 COMMENT 'Inbound: confidence of the intent, 0 to 1',
    sentiment        Float32 COMMENT 'Inbound: -1 to 1',
    language         LowCardinality(String) COMMENT 'Inbound: BCP 47',
    directive        LowCardinality(String) COMMENT 'Inbound: stop, start, help, yes, no or empty',
    matched          String COMMENT 'Inbound: keyword, phrase or rule it was read from',
    unsure           Bool COMMENT 'Inbound: the classifier could not place it',
    thanks_only      Bool COMMENT 'Inbound: it only thanks',
    asks_for_person  Bool COMMENT 'Inbound: it asks for a person outright',
    classifier       LowCardinality(String) COMMENT 'Inbound: classifier and its version',
    episode          UInt64 COMMENT 'Episode it happened in; 0 for none or not known',
    native_id        String COMMENT 'Id at the provider or desk'
) ENGINE = {{.Engine "MergeTree"}}
PARTITION BY toYYYYMMDD(time)
ORDER BY (shop, time, partition, offset)
TTL toDateTime(time) + INTERVAL 24 MONTH
SETTINGS {{.Settings}};

-- A transition of an episode.
CREATE TABLE IF NOT EXISTS {{.Table "episode_events"}} (
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
    episode          UInt64 COMMENT 'Number within the conversation, from 1',
    from_state       LowCardinality(String) COMMENT 'State before; empty for none',
    to_state         LowCardinality(String) COMMENT 'offered, requested, open, closed, expired, declined, lapsed, failed or opted_out',
    signal           LowCardinality(String) COMMENT 'intent, bot_cannot_answer, unsure, sentiment, asked_for_person, mirror or opted_out_wrote',
    intent           LowCardinality(String) COMMENT 'Intent of the signalling message, else the reason of the bot',
    signal_text      String COMMENT 'Text of the signalling message' CODEC(ZSTD),
    desk             LowCardinality(String) COMMENT 'The help desk',
    ticket_id        String COMMENT 'Ticket at the desk, once there is one',
    signalled_at     Nullable(DateTime64(3, 'UTC')) COMMENT 'When the signal was received',
    offered_at       Nullable(DateTime64(3, 'UTC')) COMMENT 'When the offer went out',
    requested_at     Nullable(DateTime64(3, 'UTC')) COMMENT 'When it became an escalation',
    opened_at        Nullable(DateTime64(3, 'UTC')) COMMENT 'When the ticket existed',
    first_reply_at   Nullable(DateTime64(3, 'UTC')) COMMENT 'When the first reply of an agent came',
    ended_at         Nullable(DateTime64(3, 'UTC')) COMMENT 'When it ended',
    agent_replies    UInt32 COMMENT 'Replies of agents so far',
    reopened         UInt32 COMMENT 'How often it was reopened so far'
) ENGINE = {{.Engine "MergeTree"}}
PARTITION BY toYYYYMMDD(time)
ORDER BY (shop, time, partition, offset)
TTL toDateTime(time) + INTERVAL 24 MONTH
SETTINGS {{.Settings}};

-- A change of an address's consent, kept for 5 years; the others 24 months.
CREATE TABLE IF NOT EXISTS {{.Table "consent_changes"}} (
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
    version          UInt64 COMMENT 'Version of the ledger after it',
    scope            LowCardinality(String) COMMENT 'shop, channel:… or account:…',
    prior            LowCardinality(String) COMMENT 'unknown, conversational, pending, subscribed or unsubscribed, before',
    status           LowCardinality(String) COMMENT 'The same, after',
    source           LowCardinality(String) COMMENT 'first_message, keyword, agent, provider, opt_in_answer, import, plain_language, opt_in_question, undecided, decision, wrong_number or link',
    keyword          LowCardinality(String) COMMENT 'Keyword or tag',
    text             String COMMENT 'Text that caused it' CODEC(ZSTD),
    message_id       String COMMENT 'Message that caused it, hex'
) ENGINE = {{.Engine "MergeTree"}}
PARTITION BY toYYYYMMDD(time)
ORDER BY (shop, time, partition, offset)
TTL toDateTime(time) + INTERVAL 5 YEAR
SETTINGS {{.Settings}};

-- How an outside call ended, or a delivery state after it.
CREATE TABLE IF NOT EXISTS {{.Table "deliveries"}} (
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
    call_id          String COMMENT 'Id of the call, hex; of an outbound text also messages.message_id',
    action           LowCardinality(String) COMMENT 'send_text, create_ticket, append_messages, add_note, set_ticket_status, add_tags, fetch_ticket or ask_bot',
    status           LowCardinality(String) COMMENT 'done, failed, unknown, refused or expired; empty where only a delivery state is reported',
    state            LowCardinality(String) COMMENT 'Delivery state at the provider: queued, sent, delivered, read or failed',
    block_reason     LowCardinality(String) COMMENT 'Why a text was not sent: opted_out, never_confirmed, no_record, paused, gate_shut, expired or quiet_hours',
    code             LowCardinality(String) COMMENT 'Code of the provider',
    destination      LowCardinality(String) COMMENT 'Connector',
    text_class       LowCardinality(String) COMMENT 'agent, bot, rule, system or keyword_answer',
    segments         UInt32 COMMENT 'Segments of a text that was sent',
    credits          UInt32 COMMENT 'Credits of a text that was sent',
    attempts         UInt32 COMMENT 'Attempts made',
    crossed          Bool COMMENT 'It was on the wire when an opt-out was committed',
    provider_id      String COMMENT 'Id at the provider',
    ticket_id        String COMMENT 'Ticket at the desk',
    episode          UInt64 COMMENT 'Episode; 0 for none',
    started_at       Nullable(DateTime64(3, 'UTC')) COMMENT 'When the request started',
    ended_at         Nullable(DateTime64(3, 'UTC')) COMMENT 'When its answer came'
) ENGINE = {{.Engine "MergeTree"}}
PARTITION BY toYYYYMMDD(time)
ORDER BY (shop, time, partition, offset)
TTL toDateTime(time) + INTERVAL 24 MONTH
SETTINGS {{.Settings}};

-- A record of the topic that is no fact, kept so that nothing is dropped in
-- silence and the audit balances.
CREATE TABLE IF NOT EXISTS {{.Table "rejected"}} (
    partition        Int32 COMMENT 'Partition of the analytics topic',
    offset           Int64 COMMENT 'Offset in the analytics topic' CODEC(Delta, ZSTD),
    time             DateTime64(3, 'UTC') COMMENT 'Kafka timestamp of the record' CODEC(Delta, ZSTD),
    key              String COMMENT 'Key of the record, as it came',
    value            String COMMENT 'Value of the record, as it came' CODEC(ZSTD),
    error            String COMMENT 'What is wrong with it'
) ENGINE = {{.Engine "MergeTree"}}
PARTITION BY toYYYYMMDD(time)
ORDER BY (time, partition, offset)
TTL toDateTime(time) + INTERVAL 24 MONTH
SETTINGS {{.Settings}};
