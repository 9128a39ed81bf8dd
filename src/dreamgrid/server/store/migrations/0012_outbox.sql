-- The outbox of webhooks fills itself: every event goes to the endpoints of its account that want
-- it, in the statement that adds the event. Where nobody has an endpoint, that is all it asks.

CREATE TRIGGER event_to_webhooks AFTER INSERT ON event WHEN EXISTS (SELECT 1 FROM webhook)
BEGIN
    INSERT INTO delivery
           (project_id, webhook_id, number, kind, created_ms, since_ms, next_ms)
    SELECT project.id, webhook.id, NEW.number, NEW.kind, NEW.at_ms, NEW.at_ms, NEW.at_ms
      FROM project JOIN webhook ON webhook.account_id = project.account_id
     WHERE project.number = NEW.project AND webhook.disabled_ms IS NULL
       AND (webhook.events = '' OR instr(' ' || webhook.events || ' ', ' ' || NEW.kind || ' '));
END;
