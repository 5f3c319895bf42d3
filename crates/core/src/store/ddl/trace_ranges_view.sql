CREATE MATERIALIZED VIEW IF NOT EXISTS {view}{on_cluster} TO {target} AS
SELECT
    _partition,
    trace_id,
    min(timestamp) AS first_timestamp,
    max(greatest(timestamp, end_timestamp)) AS last_timestamp,
    count() AS span_count
FROM {source}
GROUP BY _partition, trace_id
