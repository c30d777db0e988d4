//! One request through the proxy, from its arrival to its answer.

use std::sync::{Arc, Mutex};

use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::Value;

use super::call::AwsCall;
use super::chance::Chance;
use super::entries::Split;
use super::meter::{Measured, Meter};
use super::rule::Moment;
use super::rules::{Fate, Rules};
use super::upstream::{Answer, Upstream};
use crate::server::{Answerer, Body, Closed, Received, Traffic, Visit, lock};

/// What the server's thread and the test share.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) upstream: Upstream,
    pub(super) meter: Meter,
    pub(super) rules: Rules,
    pub(super) calls: Mutex<Vec<AwsCall>>,
    pub(super) traffic: Arc<Traffic>,
}

impl Answerer for Exchange {
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        visit: Visit,
    ) -> Result<Response<Body>, Closed> {
        let request = Received::read(request).await?;
        // What arrived is carried out, even if the client leaves meanwhile: AWS does so too.
        let handling = tokio::spawn(Arc::clone(&self).handle(request));
        let response = handling.await.map_err(|_| Closed)?;
        visit.end();
        response
    }
}

impl Exchange {
    async fn handle(self: Arc<Self>, request: Received) -> Result<Response<Body>, Closed> {
        let mut call = AwsCall::of(&request);
        let answer = self.carry_out(&request, &mut call).await;
        if let Ok(response) = &answer {
            call.answered(response.status());
        }
        lock(&self.calls).push(call);
        self.traffic.count_request();
        answer
    }

    async fn carry_out(
        &self,
        request: &Received,
        call: &mut AwsCall,
    ) -> Result<Response<Body>, Closed> {
        let plan = self.meter.plan(&self.upstream, request, call).await;
        call.keys = plan.iter().map(Measured::key_text).collect();

        let answer = match self.rules.apply(Moment::Before, call).await {
            Fate::Lose => return Err(Closed),
            Fate::Fail(fault) => return Ok(fault.response(&call.service)),
            Fate::FailEntries(chance) => self.forward_in_part(request, call, chance).await?,
            Fate::GoOn | Fate::LeaveOut(_) => {
                self.meter.measure(&self.upstream, request, &plan, call).await?
            }
        };
        call.carried_out = Some(answer.head.status.as_u16());

        match self.rules.apply(Moment::After, call).await {
            Fate::Lose => Err(Closed),
            Fate::Fail(fault) => Ok(fault.response(&call.service)),
            Fate::LeaveOut(chance) => Ok(left_out(answer, chance).into_response()),
            Fate::FailEntries(_) | Fate::GoOn => Ok(answer.into_response()),
        }
    }

    async fn forward_in_part(
        &self,
        request: &Received,
        call: &AwsCall,
        chance: Chance,
    ) -> Result<Answer, Closed> {
        let split = Split::of(&call.body, chance);
        if !split.asks {
            return Ok(Answer::ok(split.answer(b"")));
        }
        let mut answer = self.upstream.forward(request, split.body.clone()).await?;
        if answer.head.status.is_success() {
            answer.body = split.answer(&answer.body);
        }
        Ok(answer)
    }
}

/// The answer to a query without some of its items.
fn left_out(mut answer: Answer, mut chance: Chance) -> Answer {
    if let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) {
        if let Some(items) = body["Items"].as_array_mut() {
            items.retain(|_| !chance.hits());
        }
        // Whose length and checksum are those of another body.
        answer = Answer::ok(body.to_string().into());
    }
    answer
}
