//! A queue in a file, in SQS, behind a server; and the other commands on AWS.

use mcp_batch::aws::{clients::Clients, dynamo::create_table};
use mcp_batch_testkit::{AwsProxy, FakeLlm, Fault, MiniStack, Receiver, Rule};
use serde_json::{Value, json};

use crate::{
    aws::clients_at,
    helpers::{Folder, Run, Running, json_lines, summarize},
};

/// One of the worlds, with a worker that can be started.
pub(super) struct World {
    pub(super) folder: Folder,
    pub(super) llm: FakeLlm,
    kind: Kind,
}

enum Kind {
    File,
    Server(Option<(Running, String)>),
    Aws(Box<Aws>),
}

struct Aws {
    clients: Clients,
    proxy: AwsProxy,
    queue_url: String,
    table: String,
    _stack: MiniStack,
}

impl World {
    /// All of them; that of AWS only where it can be played.
    pub(super) async fn all() -> Vec<Self> {
        let mut server = Self::of(Kind::Server(None)).await;
        server.start_worker().await;
        let mut worlds = vec![Self::of(Kind::File).await, server];
        worlds.extend(Self::aws().await);
        worlds
    }

    async fn of(kind: Kind) -> Self {
        Self { folder: Folder::new(), llm: FakeLlm::builder().record(true).start().await, kind }
    }

    pub(super) async fn aws() -> Option<Self> {
        let stack = MiniStack::start().await?;
        let clients = clients_at(stack.endpoint()).await;
        let created = clients.sqs.create_queue().queue_name(MiniStack::unique("jobs"));
        let queue_url = created.send().await.expect("a queue").queue_url.expect("its URL");
        let table = MiniStack::unique("ledger");
        create_table(&clients.dynamodb, &table).await.expect("a table");
        let proxy = AwsProxy::start(stack.endpoint()).await;
        let aws = Aws { clients, proxy, queue_url, table, _stack: stack };
        Some(Self::of(Kind::Aws(Box::new(aws))).await)
    }

    pub(super) fn name(&self) -> &'static str {
        match &self.kind {
            Kind::File => "file",
            Kind::Server(_) => "server",
            Kind::Aws(_) => "AWS",
        }
    }

    /// `mcp-batch COMMAND` in this world.
    pub(super) fn command(&self, name: &str) -> Run<'_> {
        let run = self.folder.command(name);
        match &self.kind {
            Kind::File => run.args(["--db", "jobs.db"]),
            Kind::Server(server) => {
                let (_, base) = server.as_ref().expect("it runs");
                run.args(["--api", base])
            }
            Kind::Aws(aws) => {
                let run = aws.proxy.env().into_iter().fold(run, |run, (k, v)| run.env(k, &v));
                run.args(["--queue-url", &aws.queue_url, "--table", &aws.table])
            }
        }
    }

    /// Starts what works the jobs off.
    pub(super) async fn start_worker(&mut self) -> Option<Running> {
        let hosts = ("MCP_BATCH_CALLBACK_HOSTS", "127.0.0.1");
        match &mut self.kind {
            Kind::Aws(aws) => {
                let run = self.folder.command("poll").args(["--health", "127.0.0.1:0"]);
                let run = run.env("MCP_BATCH_QUEUE_URL", &aws.queue_url);
                let run = run.env("MCP_BATCH_TABLE", &aws.table).env(hosts.0, hosts.1);
                let run = aws.proxy.env().into_iter().fold(run, |run, (k, v)| run.env(k, &v));
                Some(run.llm(&self.llm).start())
            }
            Kind::Server(Some(_)) => None,
            Kind::File | Kind::Server(None) => {
                let run = self.folder.command("serve").args(["--listen", "127.0.0.1:0"]);
                let run = run.args(["--db", "jobs.db"]).env(hosts.0, hosts.1);
                let running = run.llm(&self.llm).start();
                running.wait_until_it_says("Serving http://").await;
                let said = running.stderr();
                let base = said.split("Serving ").nth(1).and_then(|said| said.split(' ').next());
                let base = base.expect("where it listens").to_owned();
                match &mut self.kind {
                    Kind::Server(server) => {
                        *server = Some((running, base));
                        None
                    }
                    _ => Some(running),
                }
            }
        }
    }

    /// How many requests SQS was sent.
    fn requests(&self, operation: &str) -> Option<usize> {
        let Kind::Aws(aws) = &self.kind else { return None };
        Some(aws.proxy.count(operation))
    }
}

#[tokio::test]
async fn a_file_of_jobs_is_sent_worked_off_shown_and_written_in_every_world() {
    for mut world in World::all().await {
        let (name, receiver) = (world.name(), Receiver::start().await);
        let mut lines: Vec<_> =
            (0..25).map(|n| summarize(&format!("job-{n}"), &format!("Text {n}."))).collect();
        lines[7]["metadata"] = json!({"row": 7});
        world.folder.jobs(&lines);
        let args = ["jobs.jsonl", "--batch", "b", "--batch-callback"];
        let url = receiver.url("/");
        let sent = world.command("enqueue").args(args).args([&url]).summary().await;
        assert_eq!((&sent["accepted"], &sent["exit"]), (&25.into(), &0.into()), "{name}: {sent}");
        assert!(world.requests("SendMessageBatch").is_none_or(|requests| requests == 3));

        let worker = world.start_worker().await;
        let watched = world.command("batch").args(["b", "--watch", "--json"]).finish().await;
        assert_eq!(watched.code, Some(0), "{name}: {}", watched.stderr);
        assert_eq!(json_lines(&watched.stdout)[0]["ended"], 25);
        receiver.wait_for(1).await;

        let status = world.command("status").args(["job-7", "--json"]).finish().await;
        let status = &json_lines(&status.stdout)[0];
        assert_eq!(
            (&status["state"], &status["result"]),
            (&"succeeded".into(), &"Echo: Text 7.".into())
        );
        let written = world.command("results").args(["b", "--out", "all.jsonl"]).finish().await;
        assert_eq!(written.code, Some(0), "{name}: {}", written.stderr);
        let all = std::fs::read_to_string(world.folder.path("all.jsonl")).expect("a file");
        let results = json_lines(&all);
        let told: Vec<&Value> = results.iter().map(|result| &result["result"]).collect();
        let expected: Vec<Value> = (0..25).map(|n| format!("Echo: Text {n}.").into()).collect();
        assert_eq!(told, expected.iter().collect::<Vec<_>>(), "{name}");
        assert_eq!(results[7]["metadata"], json!({"row": 7}));

        // Sent again, nothing is paid again.
        let again = world.command("enqueue").args(["jobs.jsonl"]).summary().await;
        assert_eq!(again["exit"], 0, "{name}: {again}");
        let cancelled = world.command("cancel").args(["job-1", "unheard-of"]).finish().await;
        assert!(
            cancelled.stdout.contains("job-1: succeeded; it had begun"),
            "{}",
            cancelled.stdout
        );
        let told = "unheard-of: not known yet; will be cancelled when it comes";
        assert!(cancelled.stdout.contains(told), "{name}: {}", cancelled.stdout);
        let unknown = world.command("status").args(["nobody-knows-it"]).finish().await;
        assert_eq!(unknown.code, Some(1), "{name}: {unknown:?}");
        assert_eq!(world.llm.calls(), 25, "{name}");
        drop(worker);
    }
}

#[tokio::test]
async fn a_job_that_sqs_has_no_room_for_is_named_and_the_others_sent() {
    let Some(world) = World::aws().await else { return };
    let large = summarize("large", &"x".repeat(1_048_400));
    world.folder.jobs(&[summarize("a", "One."), large, summarize("b", "Two.")]);
    let sent = world.command("enqueue").args(["jobs.jsonl"]).summary().await;
    assert_eq!(
        (&sent["accepted"], &sent["refused"], &sent["exit"]),
        (&2.into(), &1.into(), &1.into())
    );
    assert_eq!(sent["refused_lines"][0]["line"], 2);
}

#[tokio::test]
async fn a_queue_that_is_not_there_or_must_not_be_used_is_named_at_once() {
    let Some(world) = World::aws().await else { return };
    let Kind::Aws(aws) = &world.kind else { return };
    world.folder.jobs(&[summarize("a", "One.")]);
    let enqueue = |url: &str| {
        let run = world.folder.command("enqueue");
        let run = aws.proxy.env().into_iter().fold(run, |run, (k, v)| run.env(k, &v));
        run.args(["jobs.jsonl", "--queue-url", url])
    };
    let nowhere = format!("{}-of-nobody", aws.queue_url);
    let missing = enqueue(&nowhere).finish().await;
    assert_eq!(world.requests("SendMessageBatch"), Some(1), "it is not asked again");
    aws.proxy.rule(Rule::before("SendMessageBatch").fail(Fault::Refused(403, "AccessDenied")));
    let denied = enqueue(&aws.queue_url).finish().await;
    assert_eq!(world.requests("SendMessageBatch"), Some(2));
    for (ended, url, why) in
        [(missing, &nowhere, "NonExistentQueue"), (denied, &aws.queue_url, "AccessDenied")]
    {
        assert_eq!((ended.code, &*ended.stdout), (Some(2), ""), "{ended:?}");
        let told = ended.stderr;
        assert!(told.contains(why) || told.contains("QueueDoesNotExist"), "{told}");
        assert!(told.contains(&**url) && told.contains("sqs:SendMessage"), "{told}");
    }
    assert!(!world.folder.path("jobs.jsonl.journal").exists());
}

#[tokio::test]
async fn on_aws_each_command_needs_just_the_part_it_uses() {
    let Some(world) = World::aws().await else { return };
    let Kind::Aws(aws) = &world.kind else { return };
    world.folder.jobs(&[summarize("a", "One.")]);
    let bare = |name: &str| {
        let run = world.folder.command(name);
        aws.proxy.env().into_iter().fold(run, |run, (name, value)| run.env(name, &value))
    };
    let sent = bare("enqueue").args(["jobs.jsonl", "--queue-url", &aws.queue_url]).summary().await;
    assert_eq!(sent["accepted"], 1);
    let status = bare("status").args(["a", "--json", "--table", &aws.table]).finish().await;
    assert_eq!(json_lines(&status.stdout)[0]["state"], "unknown");
    let without = bare("enqueue").args(["jobs.jsonl", "--table", &aws.table]).finish().await;
    assert_eq!(without.code, Some(2));
    assert!(without.stderr.contains("MCP_BATCH_QUEUE_URL: expected"), "{}", without.stderr);
    let by_variable = bare("status").args(["a"]).env("MCP_BATCH_TABLE", &aws.table).finish().await;
    assert!(by_variable.stdout.contains("unknown"), "{}", by_variable.stderr);
    let received = aws.clients.sqs.receive_message().queue_url(&aws.queue_url);
    let received = received.message_attribute_names("All").send().await.expect("SQS answers");
    let attributes = received.messages()[0].message_attributes().expect("attributes");
    assert_eq!(attributes["namespace"].string_value(), Some("default"));
}
