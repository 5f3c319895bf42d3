CREATE TABLE IF NOT EXISTS {table}{on_cluster}
(
{columns}
)
ENGINE = {engine}
PARTITION BY {partition}
ORDER BY ({order})
SETTINGS
    ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    fsync_after_insert = 1,
    fsync_part_directory = 1
