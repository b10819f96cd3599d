//! The gate in front of every route: who asks, and whether it may go on.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::domain::actor::Actor;
use crate::switch::clock;

use super::hashing;
use super::limits::{Allowance, Failures};
use super::token::{Role, TokenText};
use super::token_file::{AccessError, KeptToken, Stamp, TokenFile};

/// How often the file of tokens is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Secrets that are proven at the same time: each takes 19 MiB and some milliseconds.
static PROVING: Semaphore = Semaphore::const_new(1);

/// Who asks, and what it may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Whoever it is.
    pub actor: Actor,
    /// What it may do.
    pub role: Role,
}

/// Why nobody is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No token was shown.
    NoToken,
    /// What was shown is no token, or not one of those that count.
    WrongToken,
    /// Too many wrong tokens came from there.
    LockedOut(Duration),
    /// The token asks too often.
    TooOften(Duration),
}

/// Knows the tokens and lets their bearers in.
pub struct Gate {
    file: TokenFile,
    /// Only this process knows it: what is remembered of a proven token is of no use elsewhere.
    key: [u8; 32],
    known: Mutex<Known>,
}

struct Known {
    tokens: BTreeMap<u32, KeptToken>,
    /// Tokens that were proven, by the keyed hash of their secret.
    proven: BTreeMap<[u8; 32], u32>,
    allowances: BTreeMap<u32, Allowance>,
    failures: Failures,
    stamp: Option<Stamp>,
    looked_at: Instant,
}

impl Gate {
    /// The gate of a data directory. Where no token is an admin's, one is made for the machine
    /// itself; what lies there in clear counts at once, whatever others try.
    ///
    /// # Errors
    /// The tokens cannot be read or made.
    pub fn open(data_dir: &Path) -> Result<Gate, AccessError> {
        let file = TokenFile::of(data_dir);
        file.make_first(&clock::now().to_string())?;
        let mut key = [0; 32];
        getrandom::fill(&mut key)
            .map_err(|error| AccessError::Refused(format!("make a key: {error}")))?;
        let mut known = Known {
            tokens: BTreeMap::new(),
            proven: BTreeMap::new(),
            allowances: BTreeMap::new(),
            failures: Failures::default(),
            stamp: file.stamp(),
            looked_at: clock::instant(),
        };
        known.take(file.read()?);
        let gate = Gate {
            file,
            key,
            known: Mutex::new(known),
        };
        if let Some(token) = gate.file.local_token()?.as_deref() {
            gate.prove_now(token);
        }
        Ok(gate)
    }

    /// Where the token of this machine lies.
    pub fn local_token_path(&self) -> std::path::PathBuf {
        self.file.local_token_path()
    }

    /// Proves a token on this thread; whether it counts.
    fn prove_now(&self, text: &str) -> bool {
        let Some(token) = TokenText::parse(text) else {
            return false;
        };
        let kept = self.known().tokens.get(&token.id).cloned();
        let is_proven = kept.is_some_and(|kept| hashing::is_secret(&token.secret, &kept.hash));
        if is_proven {
            let hash = self.hash(&token);
            self.known().proven.insert(hash, token.id);
        }
        is_proven
    }

    fn hash(&self, token: &TokenText) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&token.id.to_be_bytes());
        hasher.update(&token.secret);
        *hasher.finalize().as_bytes()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the bearer of a token in, or says why not. `shown` is what stands behind `Bearer `.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn admit(&self, shown: Option<&str>, from: IpAddr) -> Result<Pass, Refused> {
        self.look();
        let shown = shown.ok_or(Refused::NoToken)?;
        let now = clock::instant();
        let Some(token) = TokenText::parse(shown) else {
            let locked = self.known().failures.locked(from, now);
            return Err(locked.map_or_else(|| self.fail(from, now), Refused::LockedOut));
        };
        let hash = self.hash(&token);
        let is_proven = self.known().proven.get(&hash) == Some(&token.id);
        if !is_proven {
            self.prove(&token, hash, from, now).await?;
        }
        self.pass(token.id, now)
    }

    /// Proves a token that was not seen yet; an address with too many wrong ones is not heard.
    async fn prove(
        &self,
        token: &TokenText,
        hash: [u8; 32],
        from: IpAddr,
        now: Instant,
    ) -> Result<(), Refused> {
        let kept = {
            let known = self.known();
            if let Some(left) = known.failures.locked(from, now) {
                return Err(Refused::LockedOut(left));
            }
            known.tokens.get(&token.id).map(|kept| kept.hash.clone())
        };
        let Some(kept) = kept else {
            return Err(self.fail(from, now));
        };
        // Stopping: nobody is let in any more.
        let Ok(permit) = PROVING.acquire().await else {
            return Err(Refused::WrongToken);
        };
        let secret = token.secret.clone();
        let proving = tokio::task::spawn_blocking(move || hashing::is_secret(&secret, &kept));
        let is_secret = proving.await.unwrap_or(false);
        drop(permit);
        if !is_secret {
            return Err(self.fail(from, now));
        }
        self.known().proven.insert(hash, token.id);
        Ok(())
    }

    fn pass(&self, id: u32, now: Instant) -> Result<Pass, Refused> {
        let mut known = self.known();
        let known = &mut *known;
        let kept = known.tokens.get(&id).ok_or(Refused::WrongToken)?;
        let allowance = known.allowances.entry(id);
        let allowance = allowance.or_insert_with(|| Allowance::full(now));
        allowance.take(now).map_err(Refused::TooOften)?;
        let actor = Actor::of(id, &kept.name).ok_or(Refused::WrongToken)?;
        let role = kept.role;
        Ok(Pass { actor, role })
    }

    fn fail(&self, from: IpAddr, now: Instant) -> Refused {
        if self.known().failures.add(from, now) {
            tracing::warn!(%from, "too many wrong tokens; locked out for a minute");
        }
        Refused::WrongToken
    }

    /// Takes up what has become of the file of tokens.
    fn look(&self) {
        let now = clock::instant();
        let mut known = self.known();
        if now.saturating_duration_since(known.looked_at) < LOOK_EVERY {
            return;
        }
        known.looked_at = now;
        let stamp = self.file.stamp();
        if stamp == known.stamp {
            return;
        }
        known.stamp = stamp;
        match self.file.read() {
            Ok(tokens) => {
                tracing::info!(tokens = tokens.len(), "tokens read again");
                known.take(tokens);
            }
            Err(error) => tracing::error!(%error, "tokens not read; those of before count"),
        }
    }
}

impl Known {
    fn take(&mut self, tokens: Vec<KeptToken>) {
        let now: BTreeMap<u32, KeptToken> = tokens
            .into_iter()
            .filter_map(|token| Some((token.number()?, token)))
            .collect();
        let before = std::mem::replace(&mut self.tokens, now);
        let tokens = &self.tokens;
        // What was proven stays so while the hash is the same.
        let hash = |tokens: &BTreeMap<u32, KeptToken>, id: &u32| {
            tokens.get(id).map(|token| token.hash.clone())
        };
        self.proven
            .retain(|_, id| tokens.contains_key(id) && hash(tokens, id) == hash(&before, id));
        self.allowances.retain(|id, _| tokens.contains_key(id));
    }
}
