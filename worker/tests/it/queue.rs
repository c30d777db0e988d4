//! The queue's contract: one suite, written against the port, that every queue runs.

mod cases;
pub(crate) mod store;

/// Every case, as a test of its own, on one queue. A case that is not listed is unused code, which
/// the compiler tells. Cases that not every queue has to meet are listed by those that do.
macro_rules! every_case_on {
    ($store:ty: $($case:ident)*) => {
        $(#[tokio::test]
        async fn $case() {
            use crate::queue::store::QueueStore;
            let Some(store) = <$store>::open().await else { return };
            super::cases::$case(store).await;
        })*
    };
    ($store:ty) => {
        every_case_on! { $store:
            a_message_comes_with_all_that_was_sent
            a_message_without_a_namespace_comes_without_one
            what_can_be_sent_is_answered_one_by_one
            ids_come_in_the_order_of_the_messages
            a_received_message_is_hidden_until_its_visibility_timeout_ends
            each_receive_is_counted
            a_deleted_message_does_not_come_back
            a_message_can_be_deleted_late_if_nobody_received_it_again
            a_receipt_of_an_older_receive_deletes_and_defers_nothing
            receipts_that_are_none_delete_and_defer_nothing
            a_deferred_message_comes_back_after_its_own_time
            a_deferred_message_may_come_back_at_once
            a_delayed_message_is_hidden_at_first
            a_receive_without_a_wait_answers_at_once
            a_receive_brings_at_most_what_it_asked_for
            a_long_poll_ends_with_what_is_sent
            a_long_poll_ends_with_what_another_worker_sends
            a_long_poll_ends_with_what_becomes_visible
            a_long_poll_ends_with_what_is_deferred
            a_long_poll_in_vain_ends_with_nothing
            two_workers_share_no_message
            empty_lists_do_nothing
            a_buried_job_keeps_its_body_its_group_and_its_reason
        }
    };
}

mod sqlite {
    every_case_on!(crate::queue::store::SqliteStore);

    every_case_on! { crate::queue::store::SqliteStore:
        a_job_can_be_looked_for
        any_bytes_survive
        any_bytes_can_be_buried
    }
}

/// SQS takes text alone.
mod sqs {
    every_case_on!(crate::queue::store::SqsStore);
}
