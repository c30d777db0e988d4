//! Where callbacks may not go: nothing is paid for such a job, and nothing arrives there.

use std::{
    future::Future,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use mcp_batch::{
    clock::{Clock, Deadline, UnixMs},
    config::Source,
    error::ErrorClass,
    fan_in::BatchKey,
    job::{Callback, Job, Namespace},
    lease::{CallbackSlot, CallbackState, Delivery, Failure, Ledger, Repeat, State, WhyDead},
    secret::Secrets,
    webhook::{Courier, CourierSettings, Event, Lookup},
};
use mcp_batch_testkit::{NameServer, Receiver, ask};
use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, time::timeout};

use super::{
    plan,
    rig::{LONG, Rig, job, with_callback},
};

/// A worker without an allow-list.
fn strict() -> Rig {
    Rig::sending(16, plan(60_000, Repeat::Safe), CourierSettings::default(), |_| {})
}

/// Hosts in every spelling that must not be reached, under https and on a usual port.
const REFUSED: [&str; 78] = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0x7F.0.0.0x1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "%31%32%37.0.0.1",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "localhost",
    "LocalHost",
    "localhost.",
    "a.localhost",
    "n8n",
    "0",
    "0.0.0.0",
    "0.255.255.255",
    "00.0.0.0",
    "10.0.0.1",
    "10.255.255.255",
    "167772161",
    "012.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "168.63.129.16",
    "169.254.169.254",
    "0xA9FEA9FE",
    "2852039166",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "0xc0a80001",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "metadata.google.internal",
    "printer.local",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:0.0.0.1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:a9fe:a9fe]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::808:808]",
    "[64:ff9b:1::1]",
    "[100::1]",
    "[2001::1]",
    "[2001:db8::1]",
    "[2002:7f00:1::]",
    "[2002:c0a8:1::1]",
    "[3fff::1]",
    "[5f00::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fd7a:115c:a1e0::1]",
    "[fe80::1]",
    "[febf:ffff::1]",
    "[ff02::1]",
];

#[tokio::test]
async fn no_spelling_of_a_private_address_is_paid_for_or_reached() {
    let (rig, receiver) = (strict(), Receiver::start().await);
    let job = |(number, host): (usize, &&str)| {
        let mut job = job(&format!("job-{number}"), "answer");
        let url = format!("https://{host}:8443/webhook?secret=hidden");
        match number % 3 {
            0 => job["callback"] = json!({"url": url}),
            1 => job["callback"] = url.into(),
            _ => job["batch"] = json!({"id": number.to_string(), "index": 0, "callback": url}),
        }
        job
    };
    let jobs: Vec<Value> = REFUSED.iter().enumerate().map(job).collect();

    let answer = rig.process(&jobs).await;

    assert_eq!((answer.finished.len(), answer.returned.len()), (jobs.len(), 0));
    assert_eq!((rig.calls(), receiver.connections()), (0, 0));
    for (number, host) in REFUSED.iter().enumerate() {
        let record = rig.record(&format!("job-{number}")).await.expect(host);
        let State::Failed(error) = &record.state else { panic!("{host}: {record:?}") };
        let field = if number % 3 == 2 { "batch.callback" } else { "callback" };
        assert_eq!((error.class, &*error.code), (ErrorClass::Permanent, "callback_refused"));
        assert_eq!(error.field.as_deref(), Some(field), "{host}");
        assert!(!error.message.contains("hidden"), "{error:?}");
        if let Some(slot) = record.callback {
            assert_eq!(slot.state, CallbackState::Dead(WhyDead::AddressRefused), "{host}");
        }
    }
}

#[tokio::test]
async fn other_schemes_ports_and_users_are_refused_before_anything_is_paid() {
    let (rig, receiver) = (strict(), Receiver::start().await);
    let by_guard = [
        receiver.url("/"),
        "http://n8n.example.com/".to_owned(),
        "https://n8n.example.com:22/".to_owned(),
        "https://n8n.example.com:80/".to_owned(),
    ];
    let jobs: Vec<Value> = by_guard
        .iter()
        .enumerate()
        .map(|(number, url)| with_callback(job(&number.to_string(), "answer"), url))
        .collect();
    assert_eq!(rig.process(&jobs).await.finished.len(), jobs.len());
    for number in 0..jobs.len() {
        let record = rig.record(&number.to_string()).await.expect("a record");
        assert!(matches!(record.state, State::Failed(error) if error.code == "callback_refused"));
    }
    for url in [
        "ftp://n8n.example.com/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://user@n8n.example.com/",
        "https://user:password@n8n.example.com/",
        "https://n8n.example.com:0/",
        "https://n8n.example.com:65536/",
        "https:///",
        "https://./",
        "https://[fe80::1%25eth0]/",
        "https://[::1/",
        "//n8n.example.com/",
        "n8n.example.com",
    ] {
        let body = with_callback(job("a", "answer"), url).to_string();
        let invalid = Job::parse(&Bytes::from(body)).expect_err(url);
        assert_eq!(invalid.error().code, "invalid_field", "{url}");
    }
    assert_eq!((rig.calls(), receiver.connections()), (0, 0));
}

/// Asks the name server that it knows.
struct By(SocketAddr);

impl Lookup for By {
    fn addresses(
        &self,
        name: String,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
        let server = self.0;
        Box::pin(async move {
            let addresses = ask(server, &name).await?;
            Ok(addresses.into_iter().map(|address| (address, 0).into()).collect())
        })
    }
}

/// Reserved for nameservers of no account (RFC 7535): public, and nobody is bothered.
const PUBLIC: Ipv4Addr = Ipv4Addr::new(192, 31, 196, 1);

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

async fn deliver(courier: &Courier) -> Delivery {
    let url = "https://rebinding.example.com:8443/webhook".to_owned();
    let slot = CallbackSlot::pending(Callback::from_url(url).expect("a URL"));
    let event = Event::new("job.succeeded", "now", Map::new(), &[b"an event"]);
    let attempt = courier.deliver(&slot, &event, Deadline::after(LONG)).await;
    attempt.expect("there is a turn, and time").delivery
}

fn courier(names: &NameServer) -> Courier {
    let settings = CourierSettings {
        connect_timeout: Duration::from_millis(300),
        ..CourierSettings::default()
    };
    let secrets = Secrets::fixed(Source::default()).expect("no secrets");
    let courier = Courier::looking_up(By(names.address()), settings, secrets, Clock::system());
    courier.expect("a courier")
}

#[tokio::test]
async fn a_name_that_answers_something_else_the_second_time_gains_nothing() {
    let names = NameServer::start([vec![PUBLIC], vec![LOOPBACK]]).await;
    // Taken where the machine has it free: nobody may come.
    let trap = TcpListener::bind((LOOPBACK, 8443)).await.map(Arc::new).ok();
    let courier = courier(&names);

    let first = deliver(&courier).await;
    assert!(matches!(first, Delivery::Failed(Failure::NotTaken | Failure::Unknown)), "{first:?}");
    assert_eq!(deliver(&courier).await, Delivery::Dead(WhyDead::AddressRefused));

    assert_eq!(names.asked(), 2, "each connection looks its name up itself");
    if let Some(trap) = trap {
        let visit = timeout(Duration::from_millis(50), trap.accept()).await;
        assert!(visit.is_err(), "{visit:?}");
    }
}

#[tokio::test]
async fn of_several_answers_those_that_are_not_public_are_left_out() {
    let names = NameServer::start([vec![PUBLIC, LOOPBACK]]).await;
    let trap = TcpListener::bind((LOOPBACK, 8443)).await.map(Arc::new).ok();
    let delivery = deliver(&courier(&names)).await;
    assert!(matches!(delivery, Delivery::Failed(_)), "{delivery:?}");
    if let Some(trap) = trap {
        let visit = timeout(Duration::from_millis(50), trap.accept()).await;
        assert!(visit.is_err(), "{visit:?}");
    }
}

#[tokio::test]
async fn a_name_without_an_address_is_a_failure_and_no_refusal() {
    let names = NameServer::start([vec![]]).await;
    assert_eq!(deliver(&courier(&names)).await, Delivery::Failed(Failure::NotTaken));
    let private = NameServer::start([vec![LOOPBACK, Ipv4Addr::new(10, 0, 0, 1)]]).await;
    assert_eq!(deliver(&courier(&private)).await, Delivery::Dead(WhyDead::AddressRefused));
}

const NAMED: &str = "https://callbacks.example.com:8443/webhook?secret=hidden";

fn in_batch(id: &str) -> Value {
    let mut job = job(id, "answer");
    job["batch"] = json!({"id": id, "index": 0, "size": 2, "callback": NAMED});
    job
}

#[tokio::test]
async fn a_name_that_leads_to_private_addresses_alone_is_refused_before_anything_is_paid() {
    let private = vec![LOOPBACK, Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(169, 254, 169, 254)];
    let names = NameServer::start([private]).await;
    let rig = Rig::finding(By(names.address()));
    let mut jobs: Vec<_> = (0..30).map(|n| in_batch(&format!("member-{n}"))).collect();
    jobs.push(with_callback(job("own", "answer"), NAMED));

    let answer = rig.process(&jobs).await;

    assert_eq!((answer.finished.len(), answer.returned.len(), rig.calls()), (31, 0, 0));
    assert_eq!(names.asked(), 2, "once for all of them, and to tell the one with its own callback");
    let refused =
        [("own", "callback"), ("member-0", "batch.callback"), ("member-29", "batch.callback")];
    for (id, field) in refused {
        let record = rig.record(id).await.expect("a record");
        let State::Failed(error) = &record.state else { panic!("{id}: {record:?}") };
        assert_eq!((error.class, &*error.code), (ErrorClass::Permanent, "callback_refused"));
        assert_eq!(error.field.as_deref(), Some(field));
        assert!(!error.message.contains("hidden"), "{error:?}");
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_looked_up_puts_its_job_off_unpaid_until_it_can() {
    let names = NameServer::start([vec![], vec![PUBLIC]]).await;
    let rig = Rig::finding(By(names.address()));
    let jobs = [with_callback(job("a", "answer"), NAMED)];

    let answer = rig.process(&jobs).await;
    assert_eq!((answer.finished.len(), answer.returned.len(), rig.calls()), (0, 1, 0));
    assert_eq!(rig.returned()[0].code, "callback_name");
    let record = rig.record("a").await.expect("a record");
    assert!(matches!(record.state, State::Retry(Some(_))), "{record:?}");
    assert_eq!(record.attempts, 0);

    timeout(LONG, async {
        while rig.calls() == 0 {
            rig.process(&jobs).await;
        }
    })
    .await
    .expect("it is found in the end");
    let record = rig.record("a").await.expect("a record");
    assert!(matches!(record.state, State::Done(_)), "{record:?}");
}

#[tokio::test]
async fn a_job_that_has_ended_is_handed_off_although_its_callbacks_name_cannot_be_looked_up() {
    let names = NameServer::start([vec![PUBLIC], vec![]]).await;
    let rig = Rig::finding(By(names.address()));
    let jobs = [with_callback(job("a", "answer"), NAMED)];
    assert_eq!(rig.process(&jobs).await.returned.len(), 1);
    let other = "https://other.example.com:8443/";

    let mut messages = rig.messages(&[with_callback(job("a", "answer"), other)]).await;
    messages[0].receive_count = 2;
    assert_eq!(rig.work_off(messages, LONG).await.returned.len(), 1);

    let slot = rig.record("a").await.and_then(|it| it.callback).expect("a callback");
    assert_eq!(slot.callback.host(), "other.example.com");
    assert_eq!((rig.calls(), slot.failures), (1, 1), "that counts as a failed try");
}

fn batch_key(id: &str) -> BatchKey {
    BatchKey::of(&Namespace::default(), &id.parse().expect("a batch's id"))
}

#[tokio::test]
async fn a_batch_whose_callbacks_name_nobody_knows_is_open_and_can_be_cancelled() {
    let names = NameServer::start([vec![]]).await;
    let rig = Rig::finding(By(names.address()));
    let ledger = &rig.worker.environment().ledger;
    let jobs = [in_batch("a")];
    assert_eq!(rig.process(&jobs).await.returned.len(), 1);

    let batch = ledger.batch(batch_key("a")).await.expect("the ledger answers").expect("a batch");
    assert_eq!((batch.counted, batch.size), (0, Some(2)), "it will be closed at its expires_at");
    ledger.cancel_batch(batch_key("a")).await.expect("the ledger answers").expect("it is open");

    assert_eq!(rig.process(&jobs).await.finished.len(), 1);
    let record = rig.record("a").await.expect("a record");
    assert_eq!((record.state, rig.calls()), (State::Cancelled, 0));
    let batch = ledger.batch(batch_key("a")).await.expect("the ledger answers").expect("a batch");
    assert_eq!(batch.counted, 1);
}

#[tokio::test]
async fn a_job_whose_callbacks_name_stays_unknown_fails_unpaid_after_its_time() {
    let names = NameServer::start([vec![]]).await;
    let rig = Rig::finding(By(names.address()));
    let jobs = [in_batch("a")];
    let an_hour_ago = UnixMs(rig.worker.environment().clock.now().0 - 3_600_000);
    let aged = async || {
        let mut messages = rig.messages(&jobs).await;
        messages[0].first_seen = an_hour_ago;
        rig.work_off(messages, LONG).await
    };
    // Who waited that long in the queue is not given up for a name that is unknown for a moment.
    for _ in 0..7 {
        assert_eq!(aged().await.returned.len(), 1);
    }
    assert!(rig.returned().iter().all(|returned| returned.code == "callback_name"));

    assert_eq!(aged().await.finished.len(), 1);

    let record = rig.record("a").await.expect("a record");
    let State::Failed(error) = &record.state else { panic!("{record:?}") };
    assert_eq!((error.class, &*error.code), (ErrorClass::Exhausted, "callback_name"));
    assert_eq!(error.field.as_deref(), Some("batch.callback"));
    assert!(error.message.contains("given up 3600 s after"), "{}", error.message);
    assert_eq!((rig.calls(), record.attempts), (0, 0));
    let batch = rig.worker.environment().ledger.batch(batch_key("a")).await;
    assert_eq!(batch.expect("the ledger answers").expect("a batch").counted, 1);
}
