//! The program from outside: the real binary and the public library, against real parts on
//! loopback.
//!
//! | file | what is shown |
//! |---|---|
//! | `run_command.rs` | `mcp-batch run`: what goes in, what comes out, what cannot be used |
//! | `run_again.rs` | runs one after another or at once: kills, signals, what is paid again |
//! | `enqueue.rs` | `mcp-batch enqueue`, `status`, `batch`, `results`, `cancel` in every world; kills, hostile files |
//! | `callbacks_command.rs` | secrets, hosts, `mcp-batch callbacks`: from outside |
//! | `cost.rs` | `mcp-batch cost`: what was spent, what a month would cost |
//! | `dead_letters.rs` | `mcp-batch dlq`: plans, replays that are killed, what stays, in both worlds |
//! | `held.rs` | `mcp-batch held`: what waits for a person, and the decision |
//! | `llm_answers.rs` | every way an LLM can answer, and what it means for a job |
//! | `litellm.rs` | the real LiteLLM: `make e2e` runs it |
//! | `logs.rs` | logs of each kind are kept, and searched by `make test` |
//! | `llm_money.rs` | what calls are said to cost |
//! | `limits.rs` | limits toward an upstream, told or found out |
//! | `llm_prompts.rs` | what is said to an LLM, and what of it is told again |
//! | `llm_waits.rs` | pauses and refusals that are not the job's fault |
//! | `monitoring.rs` | Terraform's alarms and dashboard ask for what is told |
//! | `mcp.rs` | tools of MCP servers: results, failures, sessions, lists; `tools` and `call` |
//! | `bad_input.rs` | bodies and files that are wrong, in the parser and through `run` |
//! | `any_job.rs` | what holds for any bytes and any job |
//! | `job_schema.rs` | the contract's JSON Schema says what the parser does |
//! | `secrets.rs` | secrets that change: refused keys, rotation, what is never told |
//! | `stored_keys.rs` | the keys under which things lie in ledgers by now |
//! | `documents.rs` | the documents name what there is |
//! | `settings.rs` | the settings of AWS, and the count of connections |
//! | `events.rs` | `fixtures/events` are what Lambda hands over |
//! | `forward.rs` | what test ledgers leave to the one they stand before |
//! | `worker.rs` | the worker in process: bounds, deadlines, stops, callbacks and their turns |
//! | `lease.rs` | the ledger's contract, one suite for every store; a model of workers that crash |
//! | `poll.rs` | `mcp-batch poll` on SQS and DynamoDB: signals, hearts that beat, kills |
//! | `serve.rs` | `mcp-batch serve`: routes, keys, calls, MCP, kills, and what nobody should send |
//! | `dynamo.rs` | the ledger in DynamoDB: what it costs, where results lie, what gets lost |
//! | `queue.rs` | the queue's contract, likewise |
//! | `sqs.rs` | the queue on SQS: limits, refusals, what is sent anew, dead letters |
//! | `database.rs` | the embedded file: dead workers, kills, what cannot be opened, pruning |
#![expect(clippy::expect_used, reason = "a test that cannot go on must fail")]

#[macro_use]
mod forward;

mod any_job;
mod aws;
mod bad_input;
mod batch_commands;
mod callbacks_command;
mod cost;
mod dead_letters;
mod documents;
mod enqueue;
mod events;
mod held;
mod helpers;
mod job_schema;
mod limits;
mod litellm;
mod llm_answers;
mod llm_money;
mod llm_prompts;
mod llm_waits;
mod logs;
mod looking;
mod mcp;
mod monitoring;
mod poll;
mod run_again;
mod run_command;
mod secrets;
mod serve;
mod settings;
mod stored_keys;
mod worker;

mod database;
mod dynamo;
mod lease;
mod lease_helpers;
mod queue;
mod sqs;
