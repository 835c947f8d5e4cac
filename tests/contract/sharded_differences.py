"""Where a broker over several files differs from the contract: each file keeps to it by itself.

Whether a test fails depends on which files its messages lie in, so it may pass. What each of these
means for users is a row in docs/guarantees.md.
"""

BY_CHANCE = {
    "the order is that of each file, and a receive begins at one of them": [
        "test_attempts_mean_nothing_on_a_standard_queue",
        "test_messages_come_oldest_first_and_at_most_limit",
        "test_queues_are_asked_in_the_order_given",
        "test_a_stale_receipt_settles_nothing_and_keeps_nothing_else_from_happening",
        "test_a_suspect_is_lent_alone_and_not_beside_another[work]",
        "test_no_second_suspect_comes_to_who_has_one[work]",
        "test_who_only_waited_beside_another_burns_no_attempt[work]",
        "test_bystanders_come_back_together_once",
        "test_bystanders_come_beside_a_suspect_and_beside_others",
        "test_a_bystander_that_is_left_alone_is_a_suspect",
        "test_one_without_a_slot_can_be_given_back_with_one",
    ],
    "groups share each file": [
        "test_a_group_is_quiet_again_once_its_messages_are_done",
        "test_a_tenth_of_those_in_flight_is_not_noisy_yet",
        "test_messages_without_a_group_are_quiet_and_take_their_turn_by_age",
        "test_of_noisy_groups_the_one_with_least_in_flight_comes_first",
        "test_quiet_groups_come_before_a_noisy_one",
        "test_the_oldest_quiet_message_comes_first",
        "test_thirty_in_flight_make_a_group_noisy",
    ],
    "priorities count within each file": [
        "test_of_three_levels_each_goes_on",
        "test_tenants_share_each_level",
        "test_the_higher_comes_first_whenever_it_was_sent",
        "test_the_lowest_gets_one_start_in_ten_at_least",
        "test_what_waits_for_a_slot_takes_no_turn_of_its_level",
        "test_within_a_level_the_earliest_comes_first",
    ],
    "each file lends 120,000": [
        "test_a_standard_queue_lends_again_when_there_is_room",
        "test_a_standard_queue_lends_so_many_and_then_refuses",
    ],
    "letters move file by file": [
        "test_a_message_that_came_from_nowhere_fails_the_task",
        "test_a_task_fails_when_a_queue_is_deleted",
        "test_what_arrives_during_a_task_stays",
        "test_redrive_can_choose_and_limit",
    ],
    "it looks into the one file of a stored broker": [
        "test_a_deleted_queue_leaves_no_row",
    ],
}
