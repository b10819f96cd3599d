//! The operators' API as commands ask it: where it is, with which token, what its problems mean.

use std::fmt;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::ops::access::TokenFile;
use crate::switch::config::Config;

use super::api_tls;
use super::import::Failed;

/// The environment variable with a token; it counts before the file of the data directory.
pub(super) const TOKEN_VARIABLE: &str = "CARDSWITCH_TOKEN";

/// A switch that can be asked.
#[derive(Clone)]
pub(super) struct Api {
    agent: ureq::Agent,
    base: String,
    token: Option<Zeroizing<String>>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("base", &self.base).finish()
    }
}

/// An answer, whatever it says.
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) text: String,
}

impl Api {
    /// The API at the configured address, asked with the token of the configured directory.
    pub(super) fn of(config: &Config) -> Result<Api, Failed> {
        let scheme = if api_tls::is_wanted() {
            "https"
        } else {
            "http"
        };
        Api::at(&format!("{scheme}://{}", config.admin), &config.data_dir)
    }

    /// The API at a URL. The token is that of the environment, else, where the URL is of this
    /// machine, that of the data directory: it goes nowhere else.
    pub(super) fn at(base: &str, data_dir: &Path) -> Result<Api, Failed> {
        let base = base.trim_end_matches('/').to_owned();
        match std::env::var(TOKEN_VARIABLE) {
            Ok(token) if !token.is_empty() => Api::with(base, Some(Zeroizing::new(token))),
            _ => Api::of_store(base, data_dir),
        }
    }

    /// The API at a URL, asked with the token of the data directory if it is of this machine.
    pub(super) fn of_store(base: String, data_dir: &Path) -> Result<Api, Failed> {
        let token = match is_near(&base) {
            true => TokenFile::of(data_dir).local_token(),
            false => Ok(None),
        };
        let token = token.map_err(|error| (77, error.to_string()))?;
        Api::with(base, token)
    }

    fn with(base: String, token: Option<Zeroizing<String>>) -> Result<Api, Failed> {
        let mut agent = ureq::Agent::config_builder().http_status_as_error(false);
        match api_tls::config()? {
            Some(tls) => agent = agent.tls_config(tls),
            None if base.starts_with("https:") => {
                let what = format!(
                    "{base} speaks TLS: name who signs its certificate in {}",
                    api_tls::CA_VARIABLE
                );
                return Err((78, what));
            }
            None => {}
        }
        let agent = agent.build().into();
        Ok(Api { agent, base, token })
    }

    /// What stands in front of every path.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Reads a resource.
    pub(super) fn get(&self, path: &str) -> Result<Value, Failed> {
        self.get_as(path)
    }

    /// Reads a resource whose shape is known.
    pub(super) fn get_as<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failed> {
        self.read(path, &self.answer_to_get(path)?)
    }

    /// Has something done.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, Failed> {
        let answered = self.send(path, "application/json", &body.to_string())?;
        self.read(path, &answered)
    }

    /// The answer to a request that reads.
    pub(super) fn answer_to_get(&self, path: &str) -> Result<Answered, Failed> {
        let mut request = self.agent.get(self.url(path));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {}", **token));
        }
        self.answered(path, request.call())
    }

    /// The answer to a body.
    pub(super) fn send(&self, path: &str, media: &str, body: &str) -> Result<Answered, Failed> {
        let mut request = self.agent.post(self.url(path)).content_type(media);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {}", **token));
        }
        self.answered(path, request.send(body))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn answered(
        &self,
        path: &str,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Answered, Failed> {
        let unreachable = |error: ureq::Error| {
            let what = format!(
                "{}: {error}; is a switch running there? (cardswitch serve; --admin ADDR says \
                 where)",
                self.url(path)
            );
            (69, what)
        };
        let mut answer = answer.map_err(unreachable)?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(u64::MAX);
        Ok(Answered {
            status,
            text: body.read_to_string().map_err(unreachable)?,
        })
    }

    /// What an answer holds, or why there is none, with what to do next.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        path: &str,
        answered: &Answered,
    ) -> Result<T, Failed> {
        if (200..300).contains(&answered.status) {
            let unreadable = |error: serde_json::Error| {
                let what = format!("{}: not an answer in JSON: {error}", self.url(path));
                (76, what)
            };
            return serde_json::from_str(&answered.text).map_err(unreadable);
        }
        Err(self.refused(path, answered))
    }

    /// Why an answer is none, with what to do next.
    pub(super) fn refused(&self, path: &str, answered: &Answered) -> Failed {
        let told: Value = serde_json::from_str(&answered.text).unwrap_or_default();
        let detail = told.get("detail").and_then(Value::as_str);
        let detail = detail.unwrap_or("no reason given");
        match (answered.status, &self.token) {
            (401, None) => {
                let what = format!(
                    "{} asks for a token: name the switch's data directory (--data), or put one \
                     made by `cardswitch token create` into {TOKEN_VARIABLE}",
                    self.base
                );
                (77, what)
            }
            (401, Some(_)) => {
                let what = format!(
                    "{} does not take the token: it is of another switch, or was revoked; name \
                     the data directory (--data), or set {TOKEN_VARIABLE}",
                    self.base
                );
                (77, what)
            }
            (403, _) => (77, detail.to_owned()),
            (404, _) if told.is_null() => (76, format!("{}: not there", self.url(path))),
            (429, _) => (75, format!("{detail}; try again in a minute")),
            (503, _) => (75, detail.to_owned()),
            _ => (65, detail.to_owned()),
        }
    }
}

/// Whether a URL is of this machine.
fn is_near(base: &str) -> bool {
    let rest = base.split_once("://").map_or(base, |parts| parts.1);
    let host = rest.split('/').next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let address: Result<std::net::IpAddr, _> = host.parse();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_of_the_machine_is_shown_to_the_machine_only() {
        for near in [
            "http://127.0.0.1:8580",
            "http://localhost",
            "http://[::1]:8580/",
            "https://127.1.2.3:1",
        ] {
            assert!(is_near(near), "{near}");
        }
        for far in [
            "http://10.0.0.1:8580",
            "http://127.0.0.1.example.com",
            "http://[2001:db8::1]:8580",
            "http://localhost.example.com:8580",
            "http://user@example.com",
        ] {
            assert!(!is_near(far), "{far}");
        }
    }
}
