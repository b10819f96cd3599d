//! Exception expectations: what the switch puts before a person because of a step.

use serde_json::Value as Json;

use crate::cli::api::Api;

use super::report::Check;

/// What must have become of the exception queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Raised {
    /// Nothing.
    None,
    /// One more, of this kind.
    One(String),
}

impl Raised {
    /// `none`, or a kind as the admin API writes it.
    pub(super) fn parse(text: &str) -> Self {
        match text {
            "none" => Self::None,
            kind => Self::One(kind.to_owned()),
        }
    }
}

/// How many exceptions there have been, and the kind of the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Queue {
    total: u64,
    newest: Option<String>,
}

impl Queue {
    /// Asks the admin API.
    ///
    /// # Errors
    /// It does not answer, or not so; the address is named.
    pub(super) fn look(admin: &Api) -> Result<Self, String> {
        let told = admin.get("/v1/exceptions");
        let told = told.map_err(|(_, why)| format!("ask the admin API: {why}"))?;
        let total = told.get("total").and_then(Json::as_u64);
        let newest = told.pointer("/newest/0/kind").and_then(Json::as_str);
        Ok(Self {
            total: total.ok_or("ask the admin API: it tells no number of exceptions")?,
            newest: newest.map(str::to_owned),
        })
    }

    /// Whether the queue went from `self` to `now` as expected.
    pub(super) fn check(&self, now: &Self, expected: &Raised) -> Check {
        let more = now.total.saturating_sub(self.total);
        let got = match (more, now.newest.as_deref()) {
            (0, _) => "none".to_owned(),
            (1, Some(kind)) => kind.to_owned(),
            (more, kind) => format!("{more}, the newest {}", kind.unwrap_or("resolved")),
        };
        let want = match expected {
            Raised::None => "none",
            Raised::One(kind) => kind,
        };
        if got == want {
            Check::pass(format!("exception: {got}"))
        } else {
            Check::fail(format!("exception: expected {want}, got {got}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(total: u64, newest: Option<&str>) -> Queue {
        Queue {
            total,
            newest: newest.map(str::to_owned),
        }
    }

    #[test]
    fn one_more_of_the_kind_or_none_at_all() {
        let before = queue(3, Some("late-capture"));
        for (now, expected, passes) in [
            (queue(4, Some("late-capture")), "late-capture", true),
            (queue(4, Some("over-reversal")), "late-capture", false),
            (queue(5, Some("late-capture")), "late-capture", false),
            (queue(3, Some("late-capture")), "late-capture", false),
            (queue(3, Some("late-capture")), "none", true),
            (queue(4, Some("late-capture")), "none", false),
        ] {
            let check = before.check(&now, &Raised::parse(expected));
            assert_eq!(check.passed, passes, "{now:?} {expected}");
        }
    }
}
