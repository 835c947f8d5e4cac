"""Where moto differs from the contract: what it does, and the tests that must fail because of it.

A test is named alone (all its parameters) or with them, without the broker's. What differs on AWS
(aws_differences.py) differs here too, for the same reason, unless it is named here.
"""

DIFFERS = {
    # ---- messages and attributes ----
    "SendMessageBatch of moto drops the trace header": [
        "test_what_few_messages_have_travels_too",
    ],
    "ReceiveMessage of moto fails at a binary attribute that came through a topic": [
        "test_attributes_keep_their_types",
    ],
    "GetTopicAttributes of moto does not tell signature version and deduplication scope": [
        "test_every_setting_of_a_topic_is_kept",
    ],
    "moto does not look at RedriveAllowPolicy": [
        "test_a_dead_letter_queue_says_whose_it_is[sources1-False]",
        "test_a_dead_letter_queue_says_whose_it_is[sources2-False]",
    ],
    # ---- time ----
    "moto counts what has expired, and a receive that meets it ends there": [
        "test_messages_past_their_retention_are_gone",
        "test_receive_drops_expired_messages_without_a_count_in_between",
        "test_retention_counts_while_a_message_is_in_flight",
        "test_an_id_whose_message_has_expired_may_be_sent_again",
        "test_letters_past_their_retention_do_not_come_back[redrive]",
    ],
    "moto reckons a delay when a message is sent; a later one of the queue does not count": [
        "test_a_delay_is_the_queues_and_counts_for_waiting_messages_when_changed",
    ],
    # ---- duplicates and attempts ----
    "moto answers a duplicate with an id of its own, not that of the first": [
        "test_a_duplicate_is_the_first_one_for_five_minutes",
        "test_a_duplicate_does_not_renew_the_window",
        "test_content_makes_the_key_when_the_queue_says_so",
        "test_the_scope_is_the_queue_or_the_group",
        "test_a_changed_scope_counts_at_once",
    ],
    "moto knows no ReceiveRequestAttemptId": [
        "test_a_repeated_attempt_lends_the_same_under_the_same_receipts",
    ],
    # ---- groups ----
    "moto holds a group back while any message of it is in flight, not only the first": [
        "test_visibility_zero_shows_a_group_up_to_the_next_hidden_one[shown0-comes0]",
        "test_visibility_zero_shows_a_group_up_to_the_next_hidden_one[shown1-comes1]",
        "test_visibility_zero_shows_a_group_up_to_the_next_hidden_one[shown2-comes2]",
        "test_given_back_messages_keep_their_place[0]",
        "test_an_attempt_whose_messages_were_touched_is_a_new_receive[shown]",
        "test_an_attempt_whose_messages_were_touched_is_a_new_receive[given back]",
    ],
    "moto frees a group with the last lease that ends, and passes over those before it": [
        "test_a_lease_that_ends_brings_the_group_back_in_order",
    ],
    "moto has no fair queues: the oldest comes first": [
        "test_quiet_groups_come_before_a_noisy_one",
        "test_thirty_in_flight_make_a_group_noisy[30-quiet]",
        "test_a_tenth_of_those_in_flight_is_not_noisy_yet[269-quiet-groups]",
        "test_a_tenth_of_those_in_flight_is_not_noisy_yet[269-quiet-no group]",
        "test_of_noisy_groups_the_one_with_least_in_flight_comes_first",
        "test_messages_without_a_group_are_quiet_and_take_their_turn_by_age",
        "test_the_oldest_quiet_message_comes_first",
    ],
    "moto has no limit of messages in flight": [
        "test_a_standard_queue_lends_so_many_and_then_refuses",
        "test_a_standard_queue_lends_again_when_there_is_room",
        "test_a_fifo_queue_has_nothing_to_lend_until_there_is_room",
        "test_the_limit_counts_within_a_group_too",
    ],
    # ---- topics ----
    "moto hands group and key of a FIFO topic to standard queues too": [
        "test_a_fifo_topic_hands_group_and_key_to_fifo_queues_only",
    ],
    "a FIFO topic of moto deduplicates nothing": [
        "test_a_fifo_topic_deduplicates_for_five_minutes",
    ],
    "an envelope of moto has no SequenceNumber": [
        "test_content_is_the_message_not_the_envelope",
    ],
    "moto fails at a queue that is gone, and leaves the entry out of its answer": [
        "test_a_subscription_outlives_its_queue",
        "test_what_a_deleted_queue_cannot_take_goes_to_the_subscriptions_dead_letter_queue",
    ],
    # ---- moves ----
    "moto has no move tasks": [
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
        "test_a_task_fails_when_a_queue_is_deleted",
        "test_a_message_that_came_from_nowhere_fails_the_task",
        "test_letters_past_their_retention_do_not_come_back[step_moves]",
        "test_a_step_wakes_whoever_waits",
        "test_a_fifo_dlq_moves_groups_in_order",
    ],
}

# Tests that would hang, take seconds, end by chance or leave this machine.
NOT_RUN = {
    "a long poll of moto knows the groups in flight when it began, and not what became of them": [
        "test_a_long_poll_answers_when_the_head_of_a_group_lets_go[_delete]",
        "test_a_long_poll_answers_when_the_head_of_a_group_lets_go[_give_back]",
        "test_a_long_poll_answers_when_the_head_of_a_group_lets_go[_show]",
        "test_a_long_poll_answers_when_the_head_of_a_group_lets_go[_bury]",
    ],
    "moto reckons a delay when a message is sent, so this poll would not end": [
        "test_a_long_poll_hears_that_a_delay_was_shortened",
    ],
    "sequence numbers of moto are random": [
        "test_sequence_numbers_rise_whatever_becomes_of_the_messages",
        "test_a_redriven_message_gets_a_number_after_all_others",
        "test_a_dead_letter_frees_its_group_and_comes_last_when_redriven",
    ],
    "moto calls the URL in the middle of publishing": [
        "test_each_protocol_gets_its_own_body",
        "test_a_pending_subscription_gets_nothing_until_confirmed[http]",
        "test_what_goes_to_a_url_waits_in_a_hidden_queue",
        "test_a_hidden_queue_goes_with_its_subscription",
        "test_confirming_keeps_what_waits",
    ],
}

# Tests that differ on AWS and not on moto.
PASSES = {
    "moto has no limit of messages in flight": [
        "test_delayed_messages_are_not_in_flight",
    ],
    "moto knows no ReceiveRequestAttemptId, so nothing is lent again": [
        "test_an_attempt_whose_messages_were_touched_is_a_new_receive[purged]",
    ],
    "moto is not asked: AwsBroker itself compares the kinds": [
        "test_the_destination_is_of_the_same_kind",
    ],
}
