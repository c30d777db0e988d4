//! The same on both Lambdas: the modelled one, and MiniStack's with an event source mapping of its
//! own.

use std::collections::BTreeSet;

use mcp_batch_testkit::Behaviour;

use crate::rig::{Rig, job, text_of};

#[derive(Clone, Copy, Debug)]
enum Host {
    Model,
    MiniStack,
}

impl Host {
    const ALL: [Self; 2] = [Self::Model, Self::MiniStack];

    async fn work_off(self, rig: &mut Rig) {
        match self {
            Self::Model => {
                rig.work_off().await;
            }
            Self::MiniStack => rig.work_off_in_ministack().await,
        }
    }
}

#[tokio::test]
async fn a_hundred_jobs_are_run_and_told_once() {
    for host in Host::ALL {
        let Some(mut rig) = Rig::start().await else { return };
        let ids: BTreeSet<String> = (0..100).map(|n| format!("job-{n}")).collect();
        let jobs: Vec<_> = ids.iter().map(|id| rig.job_with_callback(id)).collect();
        rig.aws.send(jobs).await;
        host.work_off(&mut rig).await;

        let told: Vec<_> = rig.receiver.deliveries().iter().map(|told| told.json()).collect();
        assert!(told.iter().all(|told| told["type"] == "job.succeeded"), "{host:?}");
        let told: BTreeSet<_> = told
            .iter()
            .map(|told| told["data"]["id"].as_str().expect("an id").to_owned())
            .collect();
        assert_eq!(told, ids, "{host:?}");
        assert_eq!(rig.llm.calls_by_id().into_values().collect::<BTreeSet<_>>(), [1].into());
        assert_eq!((rig.llm.calls(), rig.receiver.distinct_ids()), (100, 100), "{host:?}");
        assert!(rig.aws.take_dead_letters().await.is_empty(), "{host:?}");
    }
}

#[tokio::test]
async fn what_is_listed_comes_back_and_what_is_no_job_is_buried() {
    for host in Host::ALL {
        let Some(mut rig) = Rig::start().await else { return };
        rig.llm.script(text_of("again"), [Behaviour::throttled("1"), Behaviour::Echo]);
        rig.aws.send([job("good"), job("again"), "no job".into()]).await;
        host.work_off(&mut rig).await;

        assert_eq!(rig.llm.calls_containing(&text_of("good")), 1, "{host:?}");
        assert_eq!(rig.llm.calls_containing(&text_of("again")), 2, "{host:?}");
        let letters = rig.aws.take_dead_letters().await;
        let bodies: Vec<&str> = letters.iter().map(|letter| letter.body.as_str()).collect();
        assert_eq!(bodies, ["\"no job\""], "{host:?}");
    }
}
