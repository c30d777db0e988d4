//! A suspect: a job whose worker was lost, perhaps by the job itself.

use std::sync::Arc;

use super::{
    Plan, Run, Subject, Verdict, admission::Admitted, attempt::After, jitter, verdict::NOT_STARTED,
};
use crate::{environment::Ports, lease::Lost};

impl<P: Ports> Run<'_, P> {
    /// The jobs of a lost worker run one at a time, and nothing beside them: should one of them have
    /// killed it, it will not take others with it.
    pub(super) async fn run_alone(&self, subject: &Subject) -> After {
        if let Plan::NotYet(_, reason) = &subject.plan {
            return self.returned(subject.key, reason, jitter(NOT_STARTED)).into();
        }
        let alone = tokio::select! {
            biased;
            () = self.stop.draining() => return self.not_begun(subject).into(),
            () = self.deadline.reached() => return self.not_begun(subject).into(),
            alone = self.bounds.alone.lock() => alone,
        };
        let Some(permit) = self.permit().await else { return self.not_begun(subject).into() };
        let admitted = match self.admit(subject, permit).await {
            Ok(admitted) => admitted,
            Err(verdict) => return verdict.into(),
        };
        let admitted = match self.wait_for_others(subject, admitted).await {
            Ok(admitted) => admitted,
            Err(verdict) => return verdict.into(),
        };
        let claimed = self.claim(subject, Lost::RunAlone).await;
        let after = self.after_claim(subject, claimed, admitted).await;
        drop(alone);
        after
    }

    /// Takes all other permits as well, as soon as they are free: in the order in which jobs ask for
    /// them, so that those that come later wait. What will never be called endangers nobody.
    async fn wait_for_others(
        &self,
        subject: &Subject,
        mut admitted: Admitted,
    ) -> Result<Admitted, Verdict> {
        let Some(plan) = subject.plan.call() else { return Ok(admitted) };
        let others = self.bounds.concurrency - admitted.permit.num_permits();
        let others = u32::try_from(others).unwrap_or(u32::MAX);
        let all = tokio::select! {
            biased;
            () = self.stop.draining() => None,
            () = self.deadline.reached() => None,
            all = Arc::clone(&self.bounds.permits).acquire_many_owned(others) => all.ok(),
        };
        let needed = plan.timeout + self.environment.policy.settle_margin;
        match all.filter(|_| self.deadline.time_left() >= needed) {
            Some(all) => admitted.permit.merge(all),
            None => return Err(self.not_begun(subject)),
        }
        Ok(admitted)
    }
}
