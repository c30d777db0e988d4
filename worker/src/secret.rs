//! Secrets that may change while the process runs. Whoever uses one takes the [`Keys`] as they are
//! at that moment; they are parsed when they change, not when they are used.

mod values;

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::sync::Mutex;

pub use self::values::{Values, ValuesError};
use crate::{
    clock::{Clock, UnixMs},
    config::{ConfigError, Keys, Source},
};

/// How long values are used before the vault is asked again.
const KEPT: Duration = Duration::from_mins(5);

/// The same after the vault could not be read.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// The least time between two questions because of refused keys: a key that is simply wrong must
/// not put the vault under load.
const BETWEEN_REFUSALS: Duration = Duration::from_secs(5);

/// Where secrets are kept outside the process.
pub trait Vault: Send + Sync + 'static {
    /// All values as they are now. Gives up by itself within seconds.
    fn read(&self) -> Reading<'_>;
}

/// A vault's answer, under way.
pub type Reading<'a> = Pin<Box<dyn Future<Output = Result<Values, VaultError>> + Send + 'a>>;

/// Why a vault cannot be read, for a person. It holds no value.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct VaultError(pub String);

/// Why there are no secrets to start with, or no new ones. It holds no value.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The vault cannot be read.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A value cannot be used, of the vault's or another.
    #[error(transparent)]
    Setting(#[from] ConfigError),
}

/// The present [`Keys`]; clones are the same.
#[derive(Clone)]
pub struct Secrets(Arc<Shared>);

struct Shared {
    current: RwLock<Arc<Keys>>,
    origin: Option<Origin>,
}

/// What keys are made of anew.
struct Origin {
    vault: Box<dyn Vault>,
    /// The settings that the vault's values go before.
    base: Source,
    clock: Clock,
    /// Held by the one who asks.
    asked: Mutex<Asked>,
}

/// When the vault was asked, and is to be asked.
struct Asked {
    due: UnixMs,
    refused: Option<UnixMs>,
}

impl Secrets {
    /// Keys that never change: those of flags and environment.
    pub fn fixed(source: Source) -> Result<Self, ConfigError> {
        Ok(Self::new(Keys::read(source)?, None))
    }

    /// Keys from a vault, whose values go before those of `base`. Without them nothing starts.
    pub async fn open(base: Source, vault: impl Vault, clock: Clock) -> Result<Self, SecretsError> {
        let keys = Keys::read(base.under(vault.read().await?))?;
        let asked = Mutex::new(Asked { due: clock.now().plus(KEPT), refused: None });
        Ok(Self::new(keys, Some(Origin { vault: Box::new(vault), base, clock, asked })))
    }

    fn new(keys: Keys, origin: Option<Origin>) -> Self {
        Self(Arc::new(Shared { current: RwLock::new(Arc::new(keys)), origin }))
    }

    /// The keys as they are now.
    pub fn current(&self) -> Arc<Keys> {
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks the vault again if that was five minutes ago; returns at once if it was not, or if
    /// somebody is asking. To be called before each batch: where a process is frozen between
    /// batches, no timer of its own would fire.
    pub async fn keep_fresh(&self) {
        let Some(origin) = &self.0.origin else { return };
        let Ok(mut asked) = origin.asked.try_lock() else { return };
        if asked.due <= origin.clock.now() {
            self.ask(origin, &mut asked).await;
        }
    }

    /// The keys after an upstream refused one of `refused`: asks the vault at once, unless somebody
    /// has got others since, or asked for this reason a moment ago. Whoever comes while it is asked
    /// waits for the same answer.
    pub async fn renew(&self, refused: &Arc<Keys>) -> Arc<Keys> {
        if let Some(origin) = &self.0.origin {
            let mut asked = origin.asked.lock().await;
            let now = origin.clock.now();
            let is_due = asked.refused.is_none_or(|last| now.since(last) >= BETWEEN_REFUSALS);
            if is_due && Arc::ptr_eq(&self.current(), refused) {
                asked.refused = Some(now);
                self.ask(origin, &mut asked).await;
            }
        }
        self.current()
    }

    /// What cannot be read or used leaves the keys as they are.
    async fn ask(&self, origin: &Origin, asked: &mut Asked) {
        let kept = match self.replace(origin).await {
            Ok(()) => KEPT,
            Err(error) => {
                tracing::warn!(%error, "the secret cannot be renewed, its old values stay in use");
                ASK_AGAIN
            }
        };
        asked.due = origin.clock.now().plus(kept);
    }

    async fn replace(&self, origin: &Origin) -> Result<(), SecretsError> {
        let values = origin.vault.read().await?;
        if values == *self.current().source().secret_values() {
            return Ok(());
        }
        let keys = Arc::new(Keys::read(origin.base.under(values))?);
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = keys;
        tracing::info!("the secret has changed, its new values are in use");
        Ok(())
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secrets").field(&self.current()).finish()
    }
}
