//! The text of a token, and what its bearer may do.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Every token begins so: a secret that is left lying about can be searched for.
const PREFIX: &str = "cst";
const SECRET_BYTES: usize = 32;

/// What the bearer of a token may do; each role may do all that those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Read.
    Viewer,
    /// And run the day: holds, exceptions, clearing, links, the status of cards.
    Operator,
    /// And act as the issuer: holders, accounts, cards, PINs, money.
    Issuer,
    /// And change the programmes, make copies of the store, read who did what.
    Admin,
}

impl Role {
    /// Every role, from the one that may do least.
    pub const ALL: [Role; 4] = [Role::Viewer, Role::Operator, Role::Issuer, Role::Admin];

    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Issuer => "issuer",
            Role::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Role, String> {
        let found = Role::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or_else(|| "expected viewer, operator, issuer or admin".to_owned())
    }
}

/// A token as its bearer shows it: `cst_<number>_<secret>`. It is wiped when it goes.
pub struct TokenText {
    /// Number of the token.
    pub id: u32,
    /// What proves it.
    pub(super) secret: Zeroizing<Vec<u8>>,
}

/// A token just made; its text is told once and kept nowhere.
pub struct MadeToken {
    /// Its number.
    pub id: u32,
    /// What its bearer shows.
    pub text: Zeroizing<String>,
}

impl TokenText {
    /// Reads what a bearer shows; `None` when it is no token of ours.
    pub fn parse(text: &str) -> Option<TokenText> {
        let mut parts = text.trim().splitn(3, '_');
        let is_ours = parts.next() == Some(PREFIX);
        let (id, secret) = (parts.next()?, parts.next()?);
        let is_number = id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = u32::from_str_radix(id, 16).ok()?;
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.decode(secret).ok()?);
        let is_whole = secret.len() == SECRET_BYTES;
        (is_ours && is_number && is_whole).then_some(TokenText { id, secret })
    }

    /// A new one with a random number and secret.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub(super) fn random() -> Result<TokenText, getrandom::Error> {
        let mut secret = Zeroizing::new(vec![0; SECRET_BYTES]);
        getrandom::fill(&mut secret)?;
        let mut id = [0; 4];
        getrandom::fill(&mut id)?;
        Ok(TokenText {
            id: u32::from_be_bytes(id),
            secret,
        })
    }

    /// What its bearer shows.
    pub(super) fn text(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(&*self.secret));
        Zeroizing::new(format!("{PREFIX}_{:08x}_{}", self.id, *secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_nothing_else_is() {
        let token = TokenText::random().unwrap();
        let text = token.text();
        let read = TokenText::parse(&text).unwrap();
        assert_eq!((read.id, &read.secret), (token.id, &token.secret));
        let short = text.get(..text.len() - 4).unwrap();
        let other = text.replacen("cst", "xst", 1);
        let padded = format!("{}AAAA", *text);
        for wrong in ["", "cst", "cst__", "cst_00000001_", short, &other, &padded] {
            assert!(TokenText::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn roles_are_read_by_their_names_and_each_may_more_than_the_one_before() {
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(role));
        }
        assert!(Role::ALL.is_sorted());
        assert!("root".parse::<Role>().is_err());
    }
}
