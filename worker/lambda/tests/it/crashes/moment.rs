//! The moments at which a process can die.

use mcp_batch_testkit::{Behaviour, Invocation, Reply, Report, Rule, RuntimeApi};

use crate::rig::{Rig, next_batch, text_of};

/// A request to AWS: to which service, and the how many-th one there.
pub(super) type Request = (&'static str, usize);

/// A moment in the life of the job `a`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    /// A request is sent, and never arrives.
    Before(Request),
    /// It was carried out, and its answer never arrives.
    After(Request),
    /// The tool has been called and has not answered.
    InCall,
    /// The callback has arrived and is not answered.
    InCallback,
    /// The function has answered, and Lambda fails to delete the message.
    BeforeDeletion,
}

impl Moment {
    /// Lets the process die at this moment of the first batch. `answer` is what the LLM has to say.
    pub(super) async fn kill(self, rig: &mut Rig, answer: Behaviour) {
        match self {
            Self::Before(request) => kill_at(rig, rule(Rule::before, request), answer).await,
            Self::After(request) => kill_at(rig, rule(Rule::after, request), answer).await,
            Self::InCall => kill_in_call(rig, answer).await,
            Self::InCallback => kill_in_callback(rig, answer).await,
            Self::BeforeDeletion => {
                script(rig, [answer]);
                rig.source.queue().forget_a_deletion();
                rig.batch().await.invocation.json();
                rig.lambda.kill().await;
            }
        }
    }
}

fn rule(at: fn(&str) -> Rule, (service, nth): Request) -> Rule {
    at(service).nth(nth).hold().lose()
}

fn script(rig: &Rig, answers: impl IntoIterator<Item = Behaviour>) {
    rig.llm.script(text_of("a"), answers);
}

async fn kill_at(rig: &mut Rig, rule: Rule, answer: Behaviour) {
    script(rig, [answer]);
    let watch = rig.proxy.rule(rule);
    let Rig { source, lambda, .. } = rig;
    let (report, ()) =
        tokio::join!(next_batch(source, lambda), kill_after(lambda, watch.wait_for_hits(1)));
    assert_died(&report);
    watch.release(1);
}

async fn kill_in_call(rig: &mut Rig, answer: Behaviour) {
    script(rig, [Behaviour::Hold, answer]);
    let Rig { source, lambda, llm, .. } = rig;
    let (report, ()) =
        tokio::join!(next_batch(source, lambda), kill_after(lambda, llm.wait_for_calls(1)));
    assert_died(&report);
}

async fn kill_in_callback(rig: &mut Rig, answer: Behaviour) {
    script(rig, [answer]);
    rig.receiver.respond_with([Reply::hang()]);
    let Rig { source, lambda, receiver, .. } = rig;
    let (report, ()) =
        tokio::join!(next_batch(source, lambda), kill_after(lambda, receiver.wait_for(1)));
    assert_died(&report);
}

async fn kill_after<T>(lambda: &RuntimeApi, moment: impl Future<Output = T>) {
    moment.await;
    lambda.kill().await;
}

fn assert_died(report: &Report) {
    assert!(matches!(report.invocation, Invocation::Crashed(_)), "{report:?}");
}
