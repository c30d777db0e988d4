//! Secrets Manager as the vault.

use std::time::Duration;

use aws_sdk_secretsmanager::{Client, primitives::Blob};
use mcp_batch::{
    aws::secrets,
    clock::{Clock, Deadline},
    config::Source,
    job::Callback,
    lease::{CallbackSlot, Delivery},
    secret::Secrets,
    webhook::{AllowedHosts, Courier, CourierSettings, Event},
};
use mcp_batch_testkit::{FakeLlm, MiniStack, Receiver};
use serde_json::{Map, Value, json};
use tracing::{instrument::WithSubscriber, subscriber::NoSubscriber};

use super::rig::{Hand, call, catalog, llm_key};
use crate::{
    aws::clients_at,
    helpers::{Log, closed_port},
};

const OLD: &str = "whsec_b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQt";
const NEW: &str = "whsec_bmV3LW5ldy1uZXctbmV3LW5ldy1uZXct";

async fn client(endpoint: &str) -> Client {
    clients_at(endpoint).await.secrets
}

/// One secret of Secrets Manager.
struct Secret {
    client: Client,
    arn: String,
}

impl Secret {
    async fn create(aws: &MiniStack, says: &str) -> Self {
        let client = client(aws.endpoint()).await;
        let name = MiniStack::unique("mcp-batch");
        let created = client.create_secret().name(name).secret_string(says).send().await;
        let arn = created.expect("a new secret").arn.expect("its ARN");
        Self { client, arn }
    }

    async fn say(&self, says: &Value) {
        let put = self.client.put_secret_value().secret_id(&self.arn);
        put.secret_string(says.to_string()).send().await.expect("a new version");
    }

    fn source(&self) -> Source {
        Source::of([("MCP_BATCH_SECRET_ARN".to_owned(), self.arn.clone())])
    }

    async fn open(&self, hand: &Hand) -> Result<Secrets, String> {
        let opened = secrets::open(self.source(), self.client.clone(), hand.clock()).await;
        opened.map_err(|error| error.to_string())
    }
}

#[tokio::test]
async fn a_callback_secret_is_rotated_without_a_restart() {
    let Some(aws) = MiniStack::start().await else { return };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let signing = |secrets: &str| json!({"MCP_BATCH_CALLBACK_SECRETS": secrets});
    let (secret, hand) = (Secret::create(&aws, &signing(OLD).to_string()).await, Hand::default());
    let secrets = secret.open(&hand).await.expect("opened");
    let receiver = Receiver::start().await;
    let hosts = AllowedHosts::parse("127.0.0.1").expect("a host");
    let settings = CourierSettings { hosts, ..CourierSettings::default() };
    let courier = Courier::new(settings, secrets.clone(), Clock::system());
    let courier = courier.expect("a courier");
    let slot = CallbackSlot::pending(Callback::from_url(receiver.url("/")).expect("a URL"));

    for says in [OLD, &format!("{NEW} {OLD}"), NEW] {
        secret.say(&signing(says)).await;
        hand.turn(Duration::from_mins(5));
        secrets.keep_fresh().await;
        let event = Event::new("job.succeeded", "now", Map::new(), &[says.as_bytes()]);
        let deadline = Deadline::after(Duration::from_mins(1));
        let attempt = courier.deliver(&slot, &event, deadline).await.expect("it is tried");
        assert_eq!(attempt.delivery, Delivery::Sent);
    }

    let accepts = |secret: &str| {
        let webhook = standardwebhooks::Webhook::new(secret).expect("a sound secret");
        let deliveries = receiver.deliveries();
        let verify = |one: &mcp_batch_testkit::Received| webhook.verify(one.body(), one.headers());
        deliveries.iter().map(|delivery| verify(delivery).is_ok()).collect::<Vec<_>>()
    };
    assert_eq!((accepts(OLD), accepts(NEW)), (vec![true, true, false], vec![false, true, true]));
}

#[tokio::test]
async fn a_key_that_is_rotated_is_used_at_once_when_the_old_one_is_refused() {
    let Some(aws) = MiniStack::start().await else { return };
    let llm = FakeLlm::start().await;
    let secret = Secret::create(&aws, &llm_key("sk-geheim-old").to_string()).await;
    let log = Log::start();
    let secrets = secret.open(&Hand::default()).await.expect("opened");
    let catalog = catalog(&llm, &secrets);
    llm.require_key("sk-geheim-new");
    // What a test says to Secrets Manager is not the program's.
    let rotation = llm_key("sk-geheim-new");
    secret.say(&rotation).with_subscriber(NoSubscriber::default()).await;

    call(&catalog, "a").await.expect("an answer");

    assert_eq!(llm.calls(), 2);
    let text = log.text();
    for logged in ["the secret has changed", "GetSecretValue"] {
        assert!(text.contains(logged), "it was read, and the SDK's part as well: {text}");
    }
    assert!(!text.contains("geheim"), "{text}");
}

#[tokio::test]
async fn a_secret_of_another_shape_stops_the_start_and_is_not_repeated() {
    let Some(aws) = MiniStack::start().await else { return };
    let shapes = [
        ("geheim", "expected a JSON object of strings, found something that is not JSON"),
        (r#"["geheim"]"#, "found an array"),
        (r#"{"TOKEN": {"geheim": 1}}"#, "found an object in TOKEN"),
        (r#"{"PORT": 4711}"#, "found a number in PORT"),
    ];
    for (says, told) in shapes {
        let secret = Secret::create(&aws, says).await;
        let error = secret.open(&Hand::default()).await.expect_err("of no use");
        assert!(error.contains(told) && error.contains(&secret.arn), "{error}");
        assert!(!error.contains("geheim") && !error.contains("4711"), "{error}");
    }

    let secret = Secret::create(&aws, "{}").await;
    let put = secret.client.put_secret_value().secret_id(&secret.arn);
    put.secret_binary(Blob::new("geheim")).send().await.expect("a new version");
    let error = secret.open(&Hand::default()).await.expect_err("of no use");
    assert!(error.contains("expected a JSON object of strings, found bytes"), "{error}");
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_stops_the_start_and_says_what_is_needed() {
    let Some(aws) = MiniStack::start().await else { return };
    let open = async |endpoint: &str, arn: &str| {
        let source = Source::of([("MCP_BATCH_SECRET_ARN".to_owned(), arn.to_owned())]);
        let opened = secrets::open(source, client(endpoint).await, Clock::system()).await;
        opened.expect_err("nothing to start with").to_string()
    };
    let arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:nobody-made-it-AbCdEf";

    let missing = open(aws.endpoint(), arn).await;
    assert!(missing.contains("there is none of this ARN in its region"), "{missing}");
    assert!(missing.contains(arn) && missing.contains("MCP_BATCH_SECRET_ARN"), "{missing}");

    let nobody = open(&closed_port(), arn).await;
    assert!(nobody.contains("Secrets Manager cannot be reached"), "{nobody}");

    let name = open(aws.endpoint(), "a-name").await;
    assert!(name.contains("expected the ARN of a Secrets Manager secret"), "{name}");
}

#[tokio::test]
async fn what_is_not_permitted_says_which_permission_is_missing() {
    let answer = r#"{"__type": "AccessDeniedException", "Message": "geheim is not authorized"}"#;
    let refusing = Receiver::start().await;
    let reply = mcp_batch_testkit::Reply::status(400).body(answer);
    refusing.set_default(reply.header("content-type", "application/x-amz-json-1.1"));
    let arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:locked-AbCdEf";
    let source = Source::of([("MCP_BATCH_SECRET_ARN".to_owned(), arn.to_owned())]);

    let opened = secrets::open(source, client(&refusing.url("")).await, Clock::system()).await;

    let error = opened.expect_err("nothing to start with").to_string();
    assert!(error.contains("the permission secretsmanager:GetSecretValue is missing"), "{error}");
}

#[tokio::test]
async fn without_an_arn_nothing_is_asked() {
    let client = client(&closed_port()).await;
    let source = Source::of([("MCP_BATCH_LLM_API_KEY".to_owned(), "sk-1".to_owned())]);
    let secrets = secrets::open(source, client, Clock::system()).await.expect("opened");
    assert!(secrets.current().llm.is_some());
}
