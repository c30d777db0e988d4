//! The queue on SQS, as `MiniStack` plays it. Its time can't be moved by hand: what must not be
//! there is looked for at once, what comes back is waited for.

use std::time::Duration;

use aws_sdk_sqs::{
    Client,
    types::{
        Message, MessageAttributeValue, MessageSystemAttributeName,
        MessageSystemAttributeNameForSends, MessageSystemAttributeValue, QueueAttributeName,
    },
};
use mcp_batch::{
    aws::sqs::{SqsQueue, SqsSettings},
    config::QueueUrl,
};
use mcp_batch_testkit::{AwsProxy, MiniStack, wait_until_async};

use super::{Letter, QueueStore, Receiver};
use crate::aws::clients_at;

/// A queue in SQS with one for its dead letters, asked through a proxy that sees all.
pub(crate) struct SqsRig {
    pub(crate) proxy: AwsProxy,
    pub(crate) settings: SqsSettings,
    /// Past the proxy.
    client: Client,
    through_proxy: Client,
    _aws: MiniStack,
}

impl SqsRig {
    /// A standard queue.
    pub(crate) async fn standard() -> Option<Self> {
        Self::new("").await
    }

    /// A FIFO queue, and so are its dead letters.
    pub(crate) async fn fifo() -> Option<Self> {
        Self::new(".fifo").await
    }

    async fn new(suffix: &str) -> Option<Self> {
        let aws = MiniStack::start().await?;
        let client = clients_at(aws.endpoint()).await.sqs;
        let queue_url = create(&client, "jobs", suffix).await;
        let dead_letter_url = Some(create(&client, "dead", suffix).await);
        let settings = SqsSettings { dead_letter_url, ..SqsSettings::new(queue_url) };
        let proxy = AwsProxy::start(aws.endpoint()).await;
        let through_proxy = clients_at(&proxy.endpoint()).await.sqs;
        Some(Self { proxy, settings, client, through_proxy, _aws: aws })
    }

    /// The queue under test.
    pub(crate) fn queue(&self) -> SqsQueue {
        SqsQueue::new(self.through_proxy.clone(), self.settings.clone())
    }

    /// How many messages the queue says it has: visible, hidden, delayed.
    pub(crate) async fn counts(&self) -> [usize; 3] {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let url = &self.settings.queue_url;
        let asked = self.client.get_queue_attributes().queue_url(url);
        let asked = asked.set_attribute_names(Some(names.to_vec())).send().await;
        let attributes = asked.expect("SQS answers").attributes.expect("attributes");
        names.map(|name| attributes[&name].parse().expect("a number"))
    }

    /// Sends a body with attributes, as a producer does that is none of this program's.
    pub(crate) async fn send_raw(
        &self,
        body: &str,
        attributes: impl IntoIterator<Item = (String, MessageAttributeValue)>,
        trace: &str,
    ) {
        let trace = MessageSystemAttributeValue::builder().data_type("String").string_value(trace);
        let sent = self
            .client
            .send_message()
            .queue_url(&self.settings.queue_url)
            .message_body(body)
            .set_message_attributes(Some(attributes.into_iter().collect()))
            .message_system_attributes(
                MessageSystemAttributeNameForSends::AwsTraceHeader,
                trace.build().expect("an attribute"),
            );
        sent.send().await.expect("SQS takes it");
    }

    /// Sends the dead letters back to the queue with all they bear, as the console's redrive does.
    pub(crate) async fn redrive(&self) {
        for letter in self.raw_letters().await {
            let mut system = letter.attributes.unwrap_or_default();
            let sent = self
                .client
                .send_message()
                .queue_url(&self.settings.queue_url)
                .message_body(letter.body.unwrap_or_default())
                .set_message_attributes(letter.message_attributes)
                .set_message_group_id(system.remove(&MessageSystemAttributeName::MessageGroupId));
            sent.send().await.expect("SQS takes it");
        }
    }

    /// The dead letters as they lie there.
    pub(crate) async fn raw_letters(&self) -> Vec<Message> {
        let url = self.settings.dead_letter_url.as_ref().expect("a place for them");
        let received = self
            .client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(10)
            .visibility_timeout(0)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send();
        received.await.expect("SQS answers").messages.unwrap_or_default()
    }
}

async fn create(client: &Client, stem: &str, suffix: &str) -> QueueUrl {
    let name = format!("{}{suffix}", MiniStack::unique(stem));
    let mut request = client.create_queue().queue_name(name);
    if !suffix.is_empty() {
        request = request.attributes(QueueAttributeName::FifoQueue, "true");
    }
    let created = request.send().await.expect("a queue is created");
    created.queue_url.expect("its URL").parse().expect("a queue's URL")
}

/// The queue under the common cases.
pub(crate) struct SqsStore(SqsRig);

impl QueueStore for SqsStore {
    type Queue = SqsQueue;

    const HIDDEN: Duration = Duration::from_secs(3);

    async fn open() -> Option<Self> {
        SqsRig::standard().await.map(Self)
    }

    fn worker(&self) -> Receiver<SqsQueue> {
        Receiver::new(self.0.queue(), Self::HIDDEN)
    }

    async fn almost(&self, _: Duration) {}

    async fn until_visible(&self, messages: usize) {
        let what = format!("{messages} messages are visible");
        wait_until_async(&what, async || self.0.counts().await[0] == messages).await;
    }

    async fn letters(&self) -> Vec<Letter> {
        self.0.raw_letters().await.into_iter().map(letter).collect()
    }
}

fn letter(message: Message) -> Letter {
    let attributes = message.message_attributes.unwrap_or_default().into_iter();
    let mut system = message.attributes.unwrap_or_default();
    Letter {
        body: message.body.unwrap_or_default().into(),
        group: system.remove(&MessageSystemAttributeName::MessageGroupId),
        attributes: attributes
            .filter_map(|(name, value)| Some((name, value.string_value?)))
            .collect(),
    }
}
