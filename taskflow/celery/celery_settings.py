"""Every setting of Celery 5.7: what it is here, always so, or refused with a reason."""

from typing import Any, Literal

import msgspec

from taskflow.celery.not_ported import REFUSED

Kind = Literal["mapped", "always", "refused"]
JSON = ("json", "application/json")


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """`means` says what it is here. One that is `always` so may be set to what it is (`allowed`;
    empty for one whose value changes nothing)."""

    kind: Kind
    means: str
    default: Any = None
    allowed: tuple[Any, ...] = ()


SETTINGS: dict[str, Setting] = {}


def _mapped(name: str, default: Any, means: str) -> None:
    SETTINGS[name] = Setting(kind="mapped", means=means, default=default)


def _always(means: str, names: str, *allowed: Any) -> None:
    default = allowed[0] if allowed else None
    for name in names.split():
        SETTINGS[name] = Setting(kind="always", means=means, default=default, allowed=allowed)


def _refused(means: str, prefix: str, names: str) -> None:
    for name in names.split():
        SETTINGS[prefix + name] = Setting(kind="refused", means=means)


_mapped("imports", (), "what taskflow worker imports beside its --module")
_mapped("include", (), "what taskflow worker imports beside its --module")
_mapped("timezone", "UTC", "the zone of schedules, and of an eta that says none")
_mapped("beat_schedule", {}, "schedules that any worker fires, each tick once")
_mapped("broker_url", None, "the address of the broker, where TASKFLOW_BROKER says none")
_mapped("result_backend", None, "'taskflow://': results are kept, beside the messages; None: not")
_mapped("result_expires", 86400.0, "@task(result=...): how long a result is kept")
_mapped("result_failure_expires", None, "@task(result_failed=...): the same of a failure")
_mapped("task_annotations", {}, "options of tasks by their names; '*' for all of them")
_mapped("task_default_queue", "celery", "the queue of a task that names none")
_mapped("task_default_rate_limit", None, "@task(rate=...) of a task that names none")
_mapped("task_ignore_result", False, "no result is kept of a task that does not say otherwise")
_mapped("task_queues", (), "all queues that each task may be called through, by their names")
_mapped("task_routes", {}, "the queue of a task, by its name or a pattern: {'mails.*': {...}}")
_mapped("task_soft_time_limit", None, "@task(timeout=...) of a task that names none")
_mapped("task_time_limit", None, "@task(timeout=...) of a task that names none")

_always("times are epoch seconds", "enable_utc", True)
_always("messages and results are JSON", "accept_content result_accept_content", *JSON)
_always("messages and results are JSON", "task_serializer result_serializer", *JSON)
_always(
    "a message is acknowledged when its task has ended",
    "task_acks_late task_reject_on_worker_lost task_retry_on_worker_lost",
    True,
)
_always(
    "what fails for good leaves its queue, for the dead letters",
    "task_acks_on_failure_or_timeout task_acks_on_failure task_acks_on_timeout",
    True,
)
_always(REFUSED["task_always_eager"], "task_always_eager", False)
_always("there is no eager mode", "task_eager_propagates task_store_eager_result")
_always("a worker declares the queues of its tasks", "task_create_missing_queues", True)
_always("queues and results outlive a restart", "result_persistent", True)
_always("a run knows its task and arguments", "result_extended")
_always("a run that takes a second is seen running", "task_track_started")
_always("the traceback of a failure is kept as text", "task_remote_tracebacks")
_always("messages have one format", "task_protocol")
_always("there are no messages about tasks", "task_send_sent_event worker_send_task_events", False)
_always("rates count", "worker_disable_rate_limits", False)
_always("the program's logging stays", "worker_hijack_root_logger", False)
_always("standard output stays", "worker_redirect_stdouts", False)
_always(
    "a worker takes what its free threads can run",
    "worker_prefetch_multiplier worker_disable_prefetch worker_enable_prefetch_count_reduction "
    "worker_eta_task_limit worker_detect_quorum_queues",
)
_always(
    "the broker is a file, or HTTPS, and its client tries again by itself",
    "broker_connection_timeout broker_connection_retry broker_connection_retry_on_startup "
    "broker_connection_max_retries broker_channel_error_retry broker_heartbeat "
    "broker_heartbeat_checkrate broker_pool_limit broker_pool_acquire_timeout "
    "task_publish_retry task_publish_retry_policy",
)
_always(
    "results are stored with the acknowledgement",
    "result_backend_always_retry result_backend_max_retries result_cache_max "
    "result_backend_base_sleep_between_retries_ms result_backend_max_sleep_between_retries_ms",
)
_always(
    "a chord's body is started by its last member",
    "result_chord_retry_interval result_chord_join_timeout",
)

_refused("name the broker by its address: TASKFLOW_BROKER", "broker_", "read_url write_url")
_refused("the address says it: sqlite:///FILE, aws://REGION", "broker_", "transport login_method")
_refused(
    "region, endpoint and prefix are in the address (aws://REGION?prefix=...); leases are "
    "extended, so there is no visibility timeout to choose",
    "broker_",
    "transport_options failover_strategy use_ssl native_delayed_delivery_queue_type",
)
_refused("the address says it: TASKFLOW_BROKER", "broker_", "host port user password vhost")
_refused("schedules are kept by the broker, and any worker fires them", "beat_", "scheduler")
_refused(
    "there is no beat process",
    "beat_",
    "schedule_filename sync_every max_loop_interval cron_starting_deadline enable_remote_control "
    "remote_control_max_tick_age",
)
_refused(
    "there are no exchanges: task_routes names queues",
    "task_",
    "default_exchange default_exchange_type default_routing_key default_delivery_mode "
    "default_queue_type create_missing_queue_type create_missing_queue_exchange_type",
)
_refused(
    "priorities have names ('high', 'normal', 'low'), of a task or of a call",
    "task_",
    "default_priority queue_max_priority inherit_parent_priority",
)
_refused("a message of up to 1 MiB is stored as it is", "", "task_compression result_compression")
_refused(
    "what fails for good is a dead letter with its error", "task_", "store_errors_even_if_ignored"
)
_refused("logs name tasks and ids, no arguments", "task_", "repr_maxlevels")
_refused("a plan has one call for its failure: on_error", "task_", "allow_error_cb_on_chord_header")
_refused(
    "results lie beside the messages",
    "result_",
    "exchange exchange_type backend_transport_options chord_expires",
)
_refused(
    "it is an option of the command: taskflow worker --concurrency, --processes, --max-tasks, "
    "--max-memory",
    "worker_",
    "concurrency max_tasks_per_child max_memory_per_child",
)
_refused("a worker is a pool of threads and an event loop", "worker_", "pool pool_putlocks")
_refused(
    "a worker is a pool of threads and an event loop",
    "worker_",
    "pool_restarts pool_start_method agent autoscaler consumer timer timer_precision "
    "proc_alive_timeout lost_wait direct",
)
_refused(
    "taskflow worker --grace says how long a stop may take", "worker_", "soft_shutdown_timeout"
)
_refused(
    "taskflow worker --grace says how long a stop may take",
    "worker_",
    "enable_soft_shutdown_on_idle cancel_long_running_tasks_on_connection_loss",
)
_refused(
    "a task that has ended is not run again within an hour, whatever is set",
    "worker_",
    "deduplicate_successful_tasks",
)
_refused("nothing is kept by a worker: it is all in the broker", "worker_", "state_db")
_refused("taskflow queues, runs, top, pause and cancel do it", "worker_", "enable_remote_control")
_refused(
    "logging is the program's; taskflow --log-level",
    "worker_",
    "log_color log_datefmt log_format task_log_datefmt task_log_format redirect_stdouts_level",
)
_refused(
    "there are no messages about tasks: taskflow top, and /metrics",
    "event_",
    "queue_expires queue_ttl queue_prefix queue_exclusive queue_durable serializer exchange",
)
_refused(
    "there is no remote control: taskflow queues, runs, pause and cancel",
    "control_",
    "exchange queue_ttl queue_expires queue_exclusive queue_durable",
)
_refused(
    "messages are not signed: who may send is said by keys (taskflow serve) or IAM",
    "security_",
    "certificate cert_store key key_password digest",
)

_BACKENDS = {
    "arangodb_": "backend_settings",
    "azureblockblob_": "base_path connection_timeout container_name read_timeout "
    "retry_increment_base retry_initial_backoff_sec retry_max_attempts",
    "cache_": "backend backend_options",
    "cassandra_": "auth_kwargs auth_provider bundle_path entry_ttl keyspace options port "
    "read_consistency servers table write_consistency",
    "cosmosdbsql_": "collection_name consistency_level database_name max_retry_attempts "
    "max_retry_wait_time",
    "couchbase_": "backend_settings",
    "database_": "create_tables_at_setup engine_callback engine_options short_lived_sessions "
    "table_names table_schemas url",
    "elasticsearch_": "max_retries retry_on_timeout save_meta_as_text timeout",
    "gcs_": "base_path bucket project ttl",
    "mongodb_": "backend_settings",
    "redis_": "backend_use_ssl db host max_connections password port retry_on_timeout "
    "socket_connect_timeout socket_keepalive socket_timeout username",
    "s3_": "access_key_id base_path bucket endpoint_url region secret_access_key",
}
"""What each of Celery's result backends is told, by what the names begin with."""
for _prefix, _names in _BACKENDS.items():
    _refused("results lie beside the messages: backend='taskflow://'", _prefix, _names)

GROUPS = tuple({name.split("_")[0] + "_" for name in SETTINGS if "_" in name} - _BACKENDS.keys())
"""What the names of settings begin with; what begins like those of a backend (`redis_url`) may be a
name of the project's own."""
BEFORE_TASKS = frozenset(
    name
    for name, setting in SETTINGS.items()
    if setting.kind == "mapped" and name.startswith(("task_", "result_"))
)
"""What a task reads when it is defined."""


def is_allowed(setting: Setting, value: Any) -> bool:
    """Whether a setting that is always so may be given this value."""
    if not setting.allowed or value is None:
        return True
    values = value if isinstance(value, list | tuple | set | frozenset) else (value,)
    return bool(values) and all(one in setting.allowed for one in values)
