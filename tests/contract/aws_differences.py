"""Where AWS differs from the contract, and the tests that must fail because of it.

A test is named alone (all its parameters) or with them, without the broker's. What needs a feature
that the broker's record denies is left out by that, and is not here.
"""

DIFFERS = {
    # ---- messages and attributes ----
    "plain text and an Attribute of type String are one on the wire": [
        "test_attributes_keep_their_types",
        "test_attributes_keep_their_types_in_the_dlq_and_back",
    ],
    "taskflow's own attribute counts in the size": [
        "test_a_queue_takes_messages_up_to_its_size",
    ],
    "a topic takes 256 KiB unless it is set to more": [
        "test_a_large_message_arrives_whole",
    ],
    "a letter keeps the name of its source": [
        "test_letters_of_a_deleted_queue_stay",
    ],
    # ---- queues and topics ----
    "whole seconds; tests/taskflow/aws/test_queues_and_topics.py": [
        "test_every_setting_of_a_queue_is_kept",
    ],
    "SNS does not say when": [
        "test_queues_and_topics_know_when_they_were_made_and_changed",
    ],
    "has no rows to count": [
        "test_a_deleted_queue_leaves_no_row",
    ],
    # ---- time ----
    "counts say in flight; tests/taskflow/aws/test_delays.py": [
        "test_a_delayed_message_is_hidden_until_due",
    ],
    "a topic does not know the retention of its queues": [
        "test_a_delay_past_the_retention_is_refused_and_nothing_is_stored",
    ],
    "SNS has no delays, SQS no age": [
        "test_counts_tell_visible_in_flight_delayed_and_age",
        "test_what_is_due_is_as_old_as_it_is_due_whatever_it_was_delayed",
    ],
    "known of received messages only": [
        "test_next_due_is_the_least_hidden_time",
    ],
    # ---- duplicates, attempts, groups ----
    "what is sent in the future is not visible, so not redriven": [
        "test_a_redriven_message_gets_a_number_after_all_others",
    ],
    "what is in flight cannot be purged by id": [
        "test_an_attempt_whose_messages_were_touched_is_a_new_receive[purged]",
    ],
    "each ten are chosen anew": [
        "test_of_noisy_groups_the_one_with_least_in_flight_comes_first",
    ],
    "says 120,000, whatever the server has": [
        "test_a_standard_queue_lends_so_many_and_then_refuses",
    ],
    "SNS has no delays: a receive hides what is not due": [
        "test_delayed_messages_are_not_in_flight",
    ],
    # ---- topics ----
    "SNS gives subscriptions ids of its own": [
        "test_a_policy_that_cannot_be_changes_nothing",
        "test_every_field_of_a_subscription_is_kept",
    ],
    "SNS gives messages ids of its own": [
        "test_an_envelope_is_what_sns_writes",
    ],
    "taskflow's own attribute is in it": [
        "test_an_envelope_leaves_out_what_was_not_given",
    ],
    "what goes to a URL waits in no queue": [
        "test_each_protocol_gets_its_own_body",
        "test_what_goes_to_a_url_waits_in_a_hidden_queue",
        "test_confirming_keeps_what_waits",
    ],
    "who owns the endpoint confirms": [
        "test_a_pending_subscription_gets_nothing_until_confirmed",
    ],
    "SNS counts it while its queue is gone": [
        "test_a_subscription_outlives_its_queue",
    ],
    # ---- changes ----
    "a receipt that settled its message is stale, whoever asks again": [
        "test_a_change_made_again_answers_what_was_settled",
    ],
}

# Tests that would not end.
NOT_RUN = {
    "what is in flight cannot be purged by id": [
        "test_a_long_poll_answers_when_the_head_of_a_group_lets_go[_purge]",
    ],
    "AWS moves by itself, at its own pace; tests/taskflow/aws/test_moves.py": [
        "test_a_task_moves_each_message_to_where_it_came_from",
        "test_a_task_moves_everything_to_its_destination",
        "test_steps_move_so_many_at_most",
        "test_a_rate_is_kept_under_the_clock",
        "test_a_clock_that_goes_back_only_delays",
        "test_a_rate_has_bounds",
        "test_what_arrives_during_a_task_stays",
        "test_messages_in_flight_are_left_alone",
        "test_a_task_ends_when_there_is_nothing_left",
        "test_a_cancelled_task_moves_no_more",
        "test_a_queue_has_one_running_task_at_a_time",
        "test_only_dead_letter_queues_that_exist_are_moved_from",
        "test_the_destination_is_of_the_same_kind",
        "test_a_task_fails_when_a_queue_is_deleted",
        "test_a_message_that_came_from_nowhere_fails_the_task",
        "test_letters_past_their_retention_do_not_come_back",
        "test_a_step_wakes_whoever_waits",
        "test_a_fifo_dlq_moves_groups_in_order",
    ],
}
