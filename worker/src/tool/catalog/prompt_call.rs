//! One prompt's way through the LLM: its templates are filled and sent; an answer that does not fit the
//! tool's schema is asked for once more, with the reason.

use std::{borrow::Cow, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    error::{ErrorClass, JobError},
    lease::{Outcome, Usage},
    tool::{
        LlmApi, LlmClient, ToolError,
        gate::ANSWER_SCHEMA,
        llm::{Answer, Attribution, CallTerms, ChatMessage, Completion, as_user},
        models::TokensField,
        prompt::PromptTool,
    },
};

/// An answer that does not fit is asked for once more if at least so much time is left.
const LEAST_FOR_ANOTHER: Duration = Duration::from_secs(2);

/// One prompt's way through the LLM.
pub(super) struct PromptCall<'a> {
    pub(super) client: &'a LlmClient,
    pub(super) tool: &'a PromptTool,
    pub(super) terms: CallTerms<'a>,
}

impl PromptCall<'_> {
    pub(super) async fn answer(&self) -> Result<Outcome, ToolError> {
        let began = Instant::now();
        let write = |timeout| self.body(None, timeout);
        let first = self.client.complete(write, self.terms).await;
        let first = first.map_err(|failure| self.asked(failure))?;
        let (usage, misfit) = match self.result(first) {
            Ok(outcome) => return Ok(outcome),
            Err(misfit) => misfit,
        };
        if self.terms.is_spent_with(usage.cost_usd) {
            return Err(misfit_unpaid(usage, &misfit));
        }
        // One more try with the reason: most models get it right then, in about the same time.
        let least = began.elapsed().max(LEAST_FOR_ANOTHER);
        let ends = began + self.terms.timeout;
        let latest = ends.checked_sub(least).filter(|latest| *latest >= Instant::now());
        let is_in_time = match latest {
            Some(latest) => Box::pin(self.terms.gates.take_another(latest)).await,
            None => false,
        };
        if !is_in_time {
            return Err(misfit_too_late(usage, &misfit));
        }
        let timeout = ends.saturating_duration_since(Instant::now());
        let terms = CallTerms { timeout, ..self.terms };
        let write = |timeout| self.body(Some(&misfit), timeout);
        let second = Box::pin(self.client.complete(write, terms)).await;
        let second = second
            .map_err(|error| ToolError { usage: usage.plus(&error.usage), ..self.asked(error) })?;
        self.result(second)
            .map(|outcome| Outcome { usage: usage.plus(&outcome.usage), ..outcome })
            .map_err(|(later, misfit)| misfits(usage.plus(&later), &misfit))
    }

    /// No answer has told of which model it was asked.
    fn asked(&self, mut failure: ToolError) -> ToolError {
        failure.usage.requested_model.get_or_insert_with(|| self.terms.model.to_owned());
        failure
    }

    /// The request's body, which asks the upstream to give up after `timeout`.
    fn body(&self, misfit: Option<&str>, timeout: Duration) -> Result<String, ToolError> {
        let input = self.terms.job.input().to_value();
        let messages = self.tool.render(&input).map_err(ToolError::free)?;
        let hint = misfit.map(|misfit| {
            format!("Your last answer was refused: {misfit}. Answer with the JSON alone.")
        });
        let system = messages.system.iter().map(|content| ChatMessage { role: "system", content });
        let user = [&messages.user].into_iter().chain(&hint);
        let user = user.map(|content| ChatMessage { role: "user", content });
        let is_litellm = self.client.settings().api == LlmApi::LiteLlm;
        let field = self.terms.models.max_tokens_field(self.terms.model);
        let bound = |name| (field == name).then_some(self.tool.max_tokens);
        let completion = Completion {
            model: self.terms.model,
            messages: system.chain(user).collect(),
            max_tokens: bound(TokensField::MaxTokens),
            max_completion_tokens: bound(TokensField::MaxCompletionTokens),
            timeout: is_litellm.then_some(timeout.as_secs_f64()),
            user: self.terms.job.tenant().map(as_user),
            metadata: is_litellm.then(|| Attribution::of(self.terms.job, self.terms.attempt)),
            temperature: self.tool.temperature,
            response_format: self.tool.answer.as_ref().map(|schema| {
                json!({
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": schema.source(), "strict": true},
                })
            }),
        };
        completion.to_body()
    }

    /// The tool's result, or what is wrong with the answer and what it cost all the same.
    fn result(&self, answer: Answer) -> Result<Outcome, (Usage, Cow<'static, str>)> {
        let Some(schema) = &self.tool.answer else {
            let usage = answer.usage.truncated(answer.is_truncated);
            return Ok(Outcome { result: Value::String(answer.content), usage, offline: false });
        };
        let cut = || if answer.is_truncated { " (it was cut off at max_tokens)" } else { "" };
        let Ok(result) = serde_json::from_str::<Value>(&answer.content) else {
            return Err((answer.usage, format!("it is not JSON{}", cut()).into()));
        };
        match schema.misfit(&result) {
            None => {
                let usage = answer.usage.truncated(answer.is_truncated);
                Ok(Outcome { result, usage, offline: false })
            }
            Some(misfit) => {
                Err((answer.usage, format!("{}: {}", misfit.path, misfit.message).into()))
            }
        }
    }
}

/// The job's next attempt has all its time again.
fn misfit_too_late(usage: Usage, misfit: &str) -> ToolError {
    let message = format!(
        "the LLM's answer does not fit the tool's answer_schema, and no time is left to ask once \
         more: {misfit}"
    );
    let error = JobError::new(ErrorClass::Transient, ANSWER_SCHEMA, message);
    ToolError { usage, ..ToolError::free(error) }
}

/// Who decides about the job's next attempt finds the same.
fn misfit_unpaid(usage: Usage, misfit: &str) -> ToolError {
    let message = format!("the LLM's answer does not fit the tool's answer_schema: {misfit}");
    let error = JobError::new(ErrorClass::Transient, ANSWER_SCHEMA, message);
    ToolError { usage, ..ToolError::free(error) }
}

fn misfits(usage: Usage, misfit: &str) -> ToolError {
    let message = format!("the LLM's answer does not fit the tool's answer_schema: {misfit}");
    let error = JobError::new(ErrorClass::Permanent, ANSWER_SCHEMA, message);
    ToolError { usage, ..ToolError::free(error) }
}
