//! What the LLM remembers of its calls.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use crate::server::{Received, lock};

/// The header that carries a call's id.
pub(super) const CALL_ID: &str = "x-litellm-call-id";

/// Prompts are given up as a whole beyond this: a count of some of them would be wrong.
const MAX_PROMPT_BYTES: usize = 64 * 1024 * 1024;

/// What the LLM remembers of its calls.
#[derive(Debug, Default)]
pub(super) struct Observed {
    by_id: Mutex<HashMap<Box<str>, usize>>,
    by_model: Mutex<HashMap<Box<str>, usize>>,
    last: Mutex<Option<Received>>,
    prompts: Mutex<Option<Prompts>>,
    all: Option<Mutex<Vec<Received>>>,
}

#[derive(Debug, Default)]
struct Prompts {
    texts: Vec<Box<str>>,
    bytes: usize,
}

impl Observed {
    pub(super) fn new(keep_prompts: bool, record: bool) -> Self {
        Self {
            prompts: Mutex::new(keep_prompts.then(Prompts::default)),
            all: record.then(Mutex::default),
            ..Self::default()
        }
    }

    pub(super) fn note(&self, request: Received, model: &str, text: &str) {
        if let Some(id) = request.header(CALL_ID) {
            count(&self.by_id, id);
        }
        count(&self.by_model, model);
        self.note_prompt(text);
        if let Some(all) = &self.all {
            lock(all).push(request.clone());
        }
        *lock(&self.last) = Some(request);
    }

    fn note_prompt(&self, text: &str) {
        let mut kept = lock(&self.prompts);
        if let Some(prompts) = &mut *kept {
            prompts.bytes += text.len();
            if prompts.bytes > MAX_PROMPT_BYTES {
                *kept = None;
            } else {
                prompts.texts.push(text.into());
            }
        }
    }

    pub(super) fn calls_containing(&self, substring: &str) -> usize {
        let kept = lock(&self.prompts);
        let prompts = kept.as_ref().expect("prompts are kept, and came to less than 64 MiB");
        prompts.texts.iter().filter(|text| text.contains(substring)).count()
    }

    pub(super) fn calls_by_id(&self) -> BTreeMap<String, usize> {
        sorted(&self.by_id)
    }

    pub(super) fn calls_by_model(&self) -> BTreeMap<String, usize> {
        sorted(&self.by_model)
    }

    pub(super) fn last(&self) -> Option<Received> {
        lock(&self.last).clone()
    }

    pub(super) fn all(&self) -> Vec<Received> {
        lock(self.all.as_ref().expect("the LLM was built with record(true)")).clone()
    }
}

fn count(calls: &Mutex<HashMap<Box<str>, usize>>, key: &str) {
    let mut calls = lock(calls);
    if let Some(calls) = calls.get_mut(key) {
        *calls += 1;
    } else {
        calls.insert(key.into(), 1);
    }
}

fn sorted(calls: &Mutex<HashMap<Box<str>, usize>>) -> BTreeMap<String, usize> {
    lock(calls).iter().map(|(key, calls)| (key.to_string(), *calls)).collect()
}
