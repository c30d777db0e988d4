//! What one invocation leaves behind for the next in the same process: nothing that runs.

use std::time::Duration;

use mcp_batch::lease::CallbackState;
use mcp_batch_testkit::Reply;

use crate::{
    event::{Record, event, listed},
    rig::Setup,
};

/// The function's, as short as its jobs allow.
const TIMEOUT: Duration = Duration::from_secs(6);

/// The first job's callback is never answered: its delivery is cut off when the invocation's time
/// is over, and its message comes back. A delivery that still ran would wake in the second one.
#[tokio::test]
async fn what_does_not_end_in_its_invocation_does_not_wake_in_the_next() {
    let Some(mut rig) = Setup::default().timeout(TIMEOUT).start().await else { return };
    rig.aws.send([rig.job_with_callback("a")]).await;
    rig.receiver.respond_with([Reply::hang()]);
    let first = rig.batch().await;
    assert_eq!((first.kept.as_slice(), &first.failure), (first.ids.as_slice(), &None));
    rig.receiver.wait_for_clients_left(1).await;
    rig.lambda.wait_until_frozen().await;

    let second = event(&[Record::new("m-b", rig.job_with_callback("b"))]);
    let answer = rig.lambda.invoke(&second, TIMEOUT).await.json();
    assert!(listed(&answer).is_empty(), "{answer}");
    assert_eq!(rig.receiver.count(), 2);
    assert_eq!(rig.receiver.deliveries()[1].json()["data"]["id"], "b");
    let record = rig.aws.record("a").await.expect("the ledger knows the job");
    assert_eq!(record.callback.map(|slot| slot.state), Some(CallbackState::Pending));

    rig.work_off().await;
    assert_eq!((rig.receiver.count(), rig.receiver.distinct_ids()), (3, 2));
    rig.assert_told_alike();
    assert_eq!((rig.llm.calls(), rig.lambda.starts(), rig.lambda.late_answers()), (2, 1, 0));
}
