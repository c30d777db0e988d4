//! The ledger's contract: one suite, written against the port, that every store runs. Time is
//! handed in, so nothing waits.
#![expect(clippy::panic, reason = "an answer that a case rules out must fail it")]

mod attention;
mod batch_delivery;
mod batches;
mod claims;
mod closing;
mod expiry;
mod fan_in;
mod handoff;
mod model;
mod people;
mod requests;
mod settling;
mod takeover;

/// Every case, as a test of its own, on one store. A case that is not listed is unused code, which
/// the compiler tells.
macro_rules! every_case_on {
    ($store:ty: $($part:ident { $($case:ident)* })*) => {
        $(mod $part {
            use crate::lease_helpers::Store;

            $(#[tokio::test]
            async fn $case() {
                if let Some(store) = <$store>::open().await {
                    crate::lease::$part::$case(store).await;
                }
            })*
        })*
    };
    ($store:ty) => {
        every_case_on! { $store:
            attention {
                a_held_job_is_found_until_a_person_decides
                the_callback_of_what_a_person_decided_is_found_though_nobody_told_it
                a_deferred_callback_is_found_once_its_message_must_be_gone
                a_callback_that_was_given_up_is_found_until_somebody_takes_it
                a_batch_is_found_when_it_expires_or_its_deliverer_is_lost
                a_batch_closed_when_all_had_ended_is_found_at_once
                a_batch_completed_by_a_rejection_is_found_at_once
                a_job_in_a_batch_keeps_what_its_caller_gets_back
                a_callback_that_nobody_came_to_is_found_once_its_message_must_be_gone
                a_job_with_a_callback_is_told_from_its_record_alone
                a_callback_that_comes_later_is_told_what_came_with_it
                a_batch_tells_each_job_as_it_was_counted_whatever_was_decided_since
                what_was_told_of_a_job_stays_whatever_comes_with_a_later_message
            }
            fan_in {
                of_two_thousand_jobs_over_dying_workers_one_callback_tells_all
            }
            closing {
                a_batch_learns_its_size_by_being_closed
                a_batch_of_which_all_have_ended_is_complete_by_being_closed
                a_batch_is_not_closed_with_a_size_that_does_not_fit
                a_size_that_comes_when_its_time_is_over_changes_nothing
                a_batch_past_its_time_is_closed_with_what_there_is
                a_late_job_is_refused_and_counts_nothing
                a_job_that_ends_after_its_batch_was_closed_is_not_counted_in_it
                another_callback_is_another_batchs
                what_has_not_started_of_a_cancelled_batch_is_cancelled
                a_batch_that_is_over_is_not_cancelled
                a_rejected_job_is_counted_once_at_its_place
                a_rejected_job_without_a_place_is_not_counted
                a_batch_may_wait_for_its_size_as_long_as_it_is_open
                a_batch_that_would_be_open_too_long_is_refused
                a_finished_job_that_joins_a_batch_is_kept_as_long_as_that_may_need_it
                a_refused_message_is_stored_once_with_its_callback_owed
            }
            claims {
                a_new_job_is_owned_by_the_one_who_asks_first
                a_claim_whose_answer_was_lost_is_still_owned_and_counted_once
                a_lost_answer_is_found_even_after_the_lease_is_over
                a_job_with_a_live_lease_is_busy_until_that_ends
                a_lease_shorter_than_a_second_ends_at_its_millisecond
                the_same_id_in_another_namespace_is_another_job
                of_eight_claimants_exactly_one_owns_each_job
                another_payload_under_the_same_id_runs_nothing_and_changes_nothing
                two_tools_on_one_store_share_no_outcome
                records_are_read_in_the_order_asked_for
            }
            settling {
                a_result_is_stored_with_what_is_owed_for_it
                a_failure_is_stored_with_its_dead_letter_pending
                a_released_job_is_free_at_once_under_a_new_epoch
                a_release_that_is_the_upstreams_fault_counts_no_attempt
                a_job_that_fails_without_a_call_keeps_the_attempts_it_had
                an_interrupted_job_is_free_again
                an_interrupted_job_that_must_not_be_repeated_is_held
                a_settlement_whose_answer_was_lost_is_saved_and_counted_once
                a_result_after_the_lease_is_saved_while_nobody_took_over
                a_settlement_of_another_token_or_epoch_or_job_is_fenced
                a_second_settlement_of_another_kind_is_fenced
                what_all_attempts_used_adds_up
                a_result_of_a_mebibyte_survives
                odd_text_survives
                numbers_survive_to_the_last_digit
            }
            takeover {
                a_lost_workers_job_is_taken_over_and_its_cost_is_unknown
                a_late_result_does_not_replace_the_new_owners
                a_late_failure_cannot_fail_the_new_owners_job
                a_late_failure_cannot_release_the_new_owners_lease
                nothing_late_is_saved_after_the_new_owner_released_the_job
                a_lost_workers_job_that_must_not_be_repeated_is_held
                the_paused_owner_of_a_held_job_cannot_settle_it
                the_paused_owner_of_a_held_job_cannot_settle_it_after_a_person_decided
                spent_attempts_fail_the_job_with_its_dead_letter_pending
                the_last_attempts_lost_worker_leaves_a_failed_job_it_cannot_settle
                a_clock_that_is_ahead_takes_over_early_and_the_owner_is_fenced
                a_clock_that_is_behind_waits_longer
                two_workers_never_own_a_job_at_once_by_the_claimants_clock
            }
            expiry {
                an_expired_record_that_is_still_there_is_claimed_anew_under_a_higher_epoch
                a_record_lives_to_its_last_millisecond
                a_held_job_does_not_expire
                a_job_with_a_pending_hand_off_does_not_expire
                a_job_that_is_running_does_not_expire
                an_expired_record_can_be_cancelled_like_an_unknown_job
                an_offline_outcome_is_run_again_once_there_is_an_llm
                an_offline_outcome_is_not_run_again_under_another_payload
            }
            handoff {
                what_failed_tries_tell_of_the_next_one_is_kept
                when_the_next_try_is_due_is_kept_and_what_was_in_doubt_before
                why_a_callback_is_dead_is_kept
                a_person_makes_a_callback_due_again
                only_an_outcome_with_a_callback_is_told_again
                a_callback_that_was_sent_stays_sent
                failed_deliveries_of_a_callback_are_counted_until_it_is_dead
                a_dead_letter_is_marked_once_and_only_where_one_is_due
                marks_before_the_outcome_are_ignored
                marks_of_another_epoch_are_ignored
                a_finished_job_runs_nothing_for_a_duplicate
                a_finished_job_owes_its_outcome_to_a_new_callback_too
                a_held_job_will_owe_its_outcome_to_its_newest_callback
                the_old_callbacks_mark_does_not_touch_the_new_callback
                a_duplicate_without_a_callback_leaves_the_stored_one
            }
            requests {
                a_request_is_noted_once_and_its_first_body_stands
                a_request_whose_time_is_over_is_noted_anew
                requests_of_different_namespaces_have_nothing_in_common
            }
            people {
                an_unknown_job_that_is_cancelled_never_runs
                a_job_waiting_for_another_try_can_be_cancelled
                what_runs_or_has_ended_cannot_be_cancelled
                a_replayed_job_starts_over_and_keeps_its_epoch
                of_two_who_replay_one_run_the_slower_does_not_replay_the_next
                a_replayed_job_may_bring_another_payload
                a_cancelled_job_can_be_replayed
                only_what_failed_is_held_or_cancelled_can_be_replayed
                a_held_job_can_be_failed_by_a_person
                a_held_job_can_be_given_its_result_by_a_person
                only_a_held_job_takes_a_persons_outcome
                nothing_is_decided_about_an_unknown_job
            }
            batches {
                every_end_is_counted_once
                what_has_not_ended_is_not_counted
                a_duplicate_delivery_is_not_counted_again
                a_settlement_whose_answer_was_lost_is_not_counted_again
                a_replayed_job_is_not_counted_again
                a_finished_job_is_counted_once_in_a_new_batch
                a_job_cancelled_before_it_was_seen_is_counted_when_its_message_comes
                a_job_that_fails_for_spent_attempts_is_counted
                a_person_who_decides_about_a_held_job_does_not_count_it_again
                a_place_that_is_taken_is_refused_and_nothing_changes
                a_place_beyond_the_size_is_refused
                a_size_below_a_taken_place_is_refused
                a_size_that_changes_is_refused
                a_size_may_come_with_a_later_job
                a_conflict_joins_no_batch
                a_job_with_two_places_is_counted_in_both
                members_come_in_the_order_of_their_index_and_in_pages
                a_batch_closes_when_its_first_job_says_or_after_a_day
            }
            batch_delivery {
                a_batch_is_complete_only_when_all_are_counted
                exactly_one_of_eight_takes_the_delivery
                a_delivery_may_be_taken_again_after_its_time
                a_delivery_may_be_taken_again_after_a_failed_try
                a_delivery_that_is_over_is_not_taken_again
                a_person_makes_a_batchs_callback_due_again
                an_unknown_batch_has_no_delivery
                how_far_a_batch_was_read_is_kept_for_who_takes_it_next
                who_is_at_a_delivery_holds_it_on
                a_batch_keeps_when_its_next_try_is_due_and_how_large_it_may_be
            }
        }
    };
}

mod sqlite {
    every_case_on!(crate::lease_helpers::SqliteStore);
}

mod dynamo {
    every_case_on!(crate::dynamo::DynamoStore);
}
