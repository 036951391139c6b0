-- What stands beside a change of consent as its keyword is what people wrote, and of each source something else.
ALTER TABLE {{.Table "consent_changes"}} COMMENT COLUMN keyword 'As it was written: the keyword or tag; of an import, where the platform has it from; of a link, the other address';

-- Consent: distinct changes per shop and day by what they came from. Keywords are counted in capitals, however they
-- were written: "Stop" and "STOP" are one.
CREATE OR REPLACE VIEW {{.Table "consent_daily"}} AS
SELECT shop, toDate(time) AS day, status, source, if(source IN ('keyword', 'agent'), upperUTF8(normalizeUTF8NFKC(consent_changes.keyword)), consent_changes.keyword) AS keyword,
    uniqExact(id) AS changes, uniqExact(address) AS subscribers
FROM {{.Name "consent_changes"}} AS consent_changes
WHERE prior != status AND time >= {from:DateTime64(3, 'UTC')} AND time < {until:DateTime64(3, 'UTC')}
GROUP BY shop, day, status, source, keyword;
