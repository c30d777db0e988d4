//! The URL of an SQS queue, read once: which queue it means, and of which kind that is.

use std::{fmt, str::FromStr};

use super::llm::http_url;

/// "A queue name can have up to 80 characters. Valid values: alphanumeric characters, hyphens, and
/// underscores" (`CreateQueue`, API reference).
const LONGEST_NAME: usize = 80;

/// "The name of a FIFO queue must end with the `.fifo` suffix" (the same).
const FIFO: &str = ".fifo";

/// Where an SQS queue is. A slash at its end is left out: to SQS it would be another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueUrl {
    text: String,
    /// What the URL says of the account: nothing at some stand-ins for SQS.
    account: Option<String>,
    /// What its host says of the region.
    region: Option<String>,
}

/// A text that is no URL of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the URL of an SQS queue (https://sqs.REGION.amazonaws.com/ACCOUNT/NAME)")]
pub struct InvalidQueueUrl;

impl QueueUrl {
    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The queue's name.
    pub fn name(&self) -> &str {
        self.text.rsplit('/').next().unwrap_or_default()
    }

    /// Whether it is a FIFO queue. A group tells nothing: fair queues have them on standard queues.
    pub fn is_fifo(&self) -> bool {
        self.name().ends_with(FIFO)
    }

    /// Whether both mean one queue. Hosts do not matter: there are several for each region, and all
    /// requests of a process go to one of them.
    pub fn is_same_queue(&self, other: &Self) -> bool {
        self.name() == other.name() && agree(self.account.as_deref(), other.account.as_deref())
    }

    /// Whether it is the queue of that ARN (`arn:aws:sqs:REGION:ACCOUNT:NAME`), as far as the URL tells.
    pub fn is_queue_of(&self, arn: &str) -> bool {
        let parts: Vec<_> = arn.split(':').collect();
        let ["arn", _, "sqs", region, account, name] = parts[..] else { return false };
        name == self.name()
            && agree(self.account.as_deref(), Some(account))
            && agree(self.region.as_deref(), Some(region))
    }
}

/// Whether what two places say does not differ.
fn agree(one: Option<&str>, other: Option<&str>) -> bool {
    one.zip(other).is_none_or(|(one, other)| one == other)
}

impl FromStr for QueueUrl {
    type Err = InvalidQueueUrl;

    fn from_str(text: &str) -> Result<Self, InvalidQueueUrl> {
        let text = text.trim_end_matches('/');
        let url = http_url(text).ok_or(InvalidQueueUrl)?;
        let mut path = url.path().rsplit('/');
        let name = path.next().unwrap_or_default();
        if !is_name(name) || url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidQueueUrl);
        }
        let account = path.next().filter(|part| is_account(part));
        let region = url.host_str().and_then(region);
        Ok(Self {
            text: text.to_owned(),
            account: account.map(str::to_owned),
            region: region.map(str::to_owned),
        })
    }
}

impl fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<&QueueUrl> for String {
    fn from(url: &QueueUrl) -> Self {
        url.text.clone()
    }
}

fn is_name(text: &str) -> bool {
    let stem = text.strip_suffix(FIFO).unwrap_or(text);
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    !stem.is_empty() && text.len() <= LONGEST_NAME && stem.chars().all(is_allowed)
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The region in a host of AWS: `sqs.REGION.amazonaws.com`, also with `-fips`, in China, of a VPC
/// endpoint or for IPv6, and `REGION.queue.amazonaws.com` of old.
fn region(host: &str) -> Option<&str> {
    let is_of_aws = host.contains(".amazonaws.") || host.ends_with(".api.aws");
    let labels: Vec<_> = host.split('.').collect();
    let at = labels.iter().position(|label| matches!(*label, "sqs" | "sqs-fips" | "queue"))?;
    let region = match labels[at] {
        "queue" => labels[..at].last(),
        _ => labels.get(at + 1),
    };
    region.copied().filter(|_| is_of_aws)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = "https://sqs.eu-central-1.amazonaws.com/123456789012/jobs";

    fn url(text: &str) -> QueueUrl {
        text.parse().expect(text)
    }

    #[test]
    fn a_slash_at_the_end_changes_neither_the_name_nor_the_kind() {
        let fifo = url(&format!("{QUEUE}.fifo/"));
        assert_eq!((fifo.name(), fifo.is_fifo()), ("jobs.fifo", true));
        assert_eq!(url(&format!("{QUEUE}//")), url(QUEUE));
        assert!(!url(QUEUE).is_fifo());
    }

    #[test]
    fn what_names_no_queue_is_no_url_of_one() {
        for text in [
            "",
            "jobs",
            "arn:aws:sqs:eu-central-1:123456789012:jobs",
            "https://sqs.eu-central-1.amazonaws.com",
            "https://sqs.eu-central-1.amazonaws.com/",
            "https://sqs.eu-central-1.amazonaws.com/123456789012/.fifo",
            "https://sqs.eu-central-1.amazonaws.com/123456789012/jobs.fif",
            "https://sqs.eu-central-1.amazonaws.com/123456789012/jobs?Action=SendMessage",
            "https://sqs.eu-central-1.amazonaws.com/123456789012/jobs#a",
            "ftp://sqs.eu-central-1.amazonaws.com/123456789012/jobs",
        ] {
            assert_eq!(text.parse::<QueueUrl>(), Err(InvalidQueueUrl), "{text}");
        }
    }

    #[test]
    fn one_queue_has_many_urls() {
        for same in [
            "https://sqs.eu-central-1.amazonaws.com/123456789012/jobs/",
            "https://SQS.eu-central-1.amazonaws.com:443/123456789012/jobs",
            "https://eu-central-1.queue.amazonaws.com/123456789012/jobs",
            "https://vpce-1-2.sqs.eu-central-1.vpce.amazonaws.com/123456789012/jobs",
            "http://127.0.0.1:4566/jobs",
        ] {
            assert!(url(same).is_same_queue(&url(QUEUE)), "{same}");
        }
        for other in [
            "https://sqs.eu-central-1.amazonaws.com/123456789012/jobs2",
            "https://sqs.eu-central-1.amazonaws.com/123456789012/jobs.fifo",
            "https://sqs.eu-central-1.amazonaws.com/123456789013/jobs",
        ] {
            assert!(!url(other).is_same_queue(&url(QUEUE)), "{other}");
        }
    }

    #[test]
    fn an_arn_is_a_urls_own_if_name_account_and_region_are() {
        let is_own = |url: &str, arn: &str| self::url(url).is_queue_of(arn);
        assert!(is_own(QUEUE, "arn:aws:sqs:eu-central-1:123456789012:jobs"));
        for other in [
            "arn:aws:sqs:eu-central-1:123456789012:other",
            "arn:aws:sqs:eu-central-1:123456789012:jobs.fifo",
            "arn:aws:sqs:eu-central-1:123456789013:jobs",
            "arn:aws:sqs:eu-west-1:123456789012:jobs",
            "arn:aws:sns:eu-central-1:123456789012:jobs",
            "jobs",
        ] {
            assert!(!is_own(QUEUE, other), "{other}");
        }
        let stand_in = "http://127.0.0.1:4566/000000000000/jobs";
        assert!(is_own(stand_in, "arn:aws:sqs:us-east-1:000000000000:jobs"));
        let fips = "https://sqs-fips.us-gov-west-1.amazonaws.com/123456789012/jobs";
        assert!(is_own(fips, "arn:aws-us-gov:sqs:us-gov-west-1:123456789012:jobs"));
        let china = "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/jobs";
        assert!(!is_own(china, "arn:aws-cn:sqs:cn-northwest-1:123456789012:jobs"));
        let of_old = "https://queue.amazonaws.com/123456789012/jobs";
        assert!(is_own(of_old, "arn:aws:sqs:us-east-1:123456789012:jobs"));
    }
}
