"""What vulture takes for dead: others call it by name (a protocol, a template, a server)."""
# ruff: noqa: B018, F821

_.datacontenttype  # a field that CloudEvents may hold
_.disabled  # logging reads it of a logger
_.botframe  # pdb reads it of a debugger
_.exec_trace, _.cursor_factory  # apsw calls them
_.exit_code  # click reads it of an exception
# fields of a features record, which `needs` reads by name
(
    _.coordination,
    _.duplicates,
    _.inspection,
    _.envelopes,
    _.fair_groups,
    _.large_messages,
    _.long_delays,
)
_.force_exit  # uvicorn reads it
_.get_async, as_completed_async  # public: twins of `Result.get` and `as_completed`
_.globals  # jinja2 reads it of an environment
_.heal  # public: of FaultBroker
_.is_dlq  # server/page/home.html and queue.html read it
_.isolation_level  # sqlite3 reads it of a connection
_.lease_lost  # public: of a handler's Context
_.missed_ticks  # public: of a Schedule
_.next_cursor  # a field of a page of orders
_.nudge, _.wait_until  # public: of ManualClock
_.prepare_threshold, _.prepared_max  # psycopg reads them of a connection
_.product_name  # a field of an order's items
_.tracking_number  # a field of events about parcels
_.sock  # http.client reads it of a connection
_.refused_at  # public: of a Refused row
_.try_again  # public: of an Outbox
_.wait_until_parked  # public: of ManualClock
_.watch_requests  # the tests and benchmarks count AWS requests by it
_.GetPayment, _.ListPaymentMethods, _.RefundPayment, _.RemovePaymentMethod  # gRPC calls them
_.si, _.starmap  # public: of a task, for parts of plans
_.SavePaymentMethod  # gRPC calls it
__getattr__, __dir__  # Python asks a module by them
_.format_commands  # click calls it
lambda_handler  # public: AWS Lambda calls it
# public: Celery's names, for ported code
_.add_periodic_task, _.autodiscover_tasks, _.config_from_object, _.control, _.periodic_tasks
_.completed_count, _.date_done, _.from_string, _.join_native, _.link_error, _.restore, _.si
_.delivery_info, _.is_eager, _.parent_id, _.root_id, _.task_id, _.update_state
ALL_STATES, PROPAGATE_STATES
_.__signature__  # inspect reads it of a function
_.is_a, _.cancels, transaction_on, _.transaction_on  # public: of workflows
# public: of a Sim, and fields of Faults, which are read by name
_.assert_dead, _.assert_delivered, _.assert_no_dead_letters, _.expect
_.run_for_async, _.run_until_idle_async
_.clock_steps, _.crashes, _.delays
do_HEAD, _.daemon_threads, _.block_on_close  # http.server and socketserver read them
(
    TaskflowInstrumentor,
    _.instrument,
    _.uninstrument,
)  # public: OpenTelemetry finds it by an entry point
TracedCalls, _.intercept_unary_unary, TracedRpcs, _.intercept_service  # gRPC calls them
_.chips, _.button, _.choices, _.via  # the templates of the dashboard read them
report_to_sentry  # public: for registries
_.disconnected, _.message_event, _.expect_100_continue  # uvicorn reads them
_.total_requests, _._unset_keepalive_if_required  # likewise
# Django reads them of a backend of its tasks
_.task_class, _.enqueue, _.get_result
_.supports_defer, _.supports_async_task, _.supports_get_result, _.supports_priority
