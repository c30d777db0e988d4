//! From a call to what is done about it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{HeaderMap, Request, Response};
use tokio::sync::Semaphore;

use super::answer::{self, Asked};
use super::observed::{self, Observed};
use super::question::{Question, Shape};
use super::rate::Window;
use super::{Behaviour, Status, marker};
use crate::server::{Answerer, Body, Closed, Received, Traffic, Visit, lock};

/// What the server's thread and the test share.
#[derive(Debug)]
pub(super) struct Llm {
    pub(super) latency: Duration,
    pub(super) answer_headers: HeaderMap,
    pub(super) default: Mutex<Behaviour>,
    pub(super) scripts: Mutex<Vec<Script>>,
    /// The key that calls must show, if any.
    pub(super) key: Mutex<Option<String>>,
    /// What it lists, if it does.
    pub(super) models: Option<Vec<String>>,
    pub(super) releases: Semaphore,
    pub(super) window: Option<Window>,
    pub(super) observed: Observed,
    pub(super) traffic: Arc<Traffic>,
}

#[derive(Debug)]
pub(super) struct Script {
    pub(super) substring: String,
    /// Never empty.
    pub(super) behaviours: VecDeque<Behaviour>,
}

impl Script {
    fn next(&mut self) -> Option<Behaviour> {
        if self.behaviours.len() > 1 {
            self.behaviours.pop_front()
        } else {
            self.behaviours.front().cloned()
        }
    }
}

impl Answerer for Llm {
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        visit: Visit,
    ) -> Result<Response<Body>, Closed> {
        let request = Received::read(request).await?;
        let Some(shape) = Shape::of(&request) else {
            visit.end();
            return Ok(self.list(&request).unwrap_or_else(answer::plain_not_found));
        };
        let call_id = request.headers().get(observed::CALL_ID).cloned();
        let Some(Question { model, text, tokens }) = Question::parse(request.body()) else {
            let number = self.note(request, "", "");
            let asked = Asked { number, shape, call_id, ..Asked::default() };
            return self.behave(Behaviour::status(400), asked, visit).await;
        };
        let behaviour = match self.is_refused(shape, &request) {
            true => Behaviour::status(401),
            false => self.too_early().unwrap_or_else(|| self.choose(&model, &text)),
        };
        let number = self.note(request, &model, &text);
        let asked = Asked { number, shape, model, text, tokens, call_id };
        self.behave(behaviour, asked, visit).await
    }
}

impl Llm {
    /// The answer to the question for its models.
    fn list(&self, request: &Received) -> Option<Response<Body>> {
        let names = self.models.as_ref().filter(|_| request.path() == "/v1/models")?;
        let key = lock(&self.key);
        let is_refused = key
            .as_deref()
            .is_some_and(|key| request.header("authorization") != Some(&format!("Bearer {key}")));
        Some(if is_refused { answer::unlisted() } else { answer::listed(names) })
    }

    fn is_refused(&self, shape: Shape, request: &Received) -> bool {
        lock(&self.key).as_deref().is_some_and(|key| shape.key(request) != Some(key))
    }

    /// The refusal of a call beyond the rate.
    fn too_early(&self) -> Option<Behaviour> {
        let wait = self.window.as_ref()?.count().err()?;
        let seconds = wait.as_secs_f64().ceil();
        Some(Status::of(429).retry_after(&seconds.to_string()).into())
    }

    fn choose(&self, model: &str, text: &str) -> Behaviour {
        lock(&self.scripts)
            .iter_mut()
            .find(|script| text.contains(&script.substring))
            .and_then(Script::next)
            .or_else(|| marker::find(text))
            .or_else(|| marker::of_model(model))
            .unwrap_or_else(|| lock(&self.default).clone())
    }

    /// Notes a call and gives its number.
    fn note(&self, request: Received, model: &str, text: &str) -> usize {
        self.observed.note(request, model, text);
        self.traffic.count_request()
    }

    /// Takes its time, and ends without an answer if that is the behaviour.
    async fn behave(
        &self,
        behaviour: Behaviour,
        asked: Asked,
        visit: Visit,
    ) -> Result<Response<Body>, Closed> {
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        match behaviour {
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Trickle => return Ok(answer::trickle(visit)),
            Behaviour::HeadAlone => return Ok(answer::head_alone(visit)),
            Behaviour::Drop => {
                visit.end();
                return Err(Closed);
            }
            Behaviour::Slow(delay) => tokio::time::sleep(delay).await,
            Behaviour::Hold => {
                if let Ok(permit) = self.releases.acquire().await {
                    permit.forget();
                }
            }
            _ => {}
        }
        visit.end();
        Ok(answer::answer(behaviour, &asked, &self.answer_headers))
    }
}
