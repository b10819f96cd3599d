//! How a route is told of in the OpenAPI document: in words, what is read, what a good answer is.

use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::Schema;
use utoipa::{IntoParams, PartialSchema};

/// What is told of a route.
#[derive(Clone, Copy)]
pub(super) struct About {
    /// In words.
    pub(super) summary: &'static str,
    /// What is read.
    pub(super) body: Option<Body>,
    /// Parameters behind the question mark.
    pub(super) query: Option<fn() -> Vec<Parameter>>,
    /// What a good answer is.
    pub(super) answer: Answer,
    /// Whether it takes `If-Match`.
    pub(super) is_guarded: bool,
    /// Other media types of a good answer.
    pub(super) others: &'static [&'static str],
}

/// The body of a request.
#[derive(Clone, Copy)]
pub(super) enum Body {
    /// JSON of this schema.
    Json(fn() -> RefOr<Schema>),
    /// A card file.
    Toml,
}

/// A good answer.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// An object that always has these; `name: type`, with `?` where it may be null.
    Object(&'static [&'static str]),
    /// A list of objects.
    List,
    /// No JSON: only the other media types.
    Other,
}

/// An object that always has these.
pub(super) const fn about(summary: &'static str, keys: &'static [&'static str]) -> About {
    About {
        summary,
        body: None,
        query: None,
        answer: Answer::Object(keys),
        is_guarded: false,
        others: &[],
    }
}

/// A list of objects.
pub(super) const fn list(summary: &'static str) -> About {
    About {
        answer: Answer::List,
        ..about(summary, &[])
    }
}

/// No JSON.
pub(super) const fn other(summary: &'static str, media: &'static [&'static str]) -> About {
    About {
        answer: Answer::Other,
        others: media,
        ..about(summary, &[])
    }
}

impl About {
    /// It reads this.
    pub(super) const fn body<T: PartialSchema>(mut self) -> About {
        self.body = Some(Body::Json(T::schema));
        self
    }

    /// It takes `If-Match`.
    pub(super) const fn guarded(mut self) -> About {
        self.is_guarded = true;
        self
    }

    /// It takes these behind the question mark.
    pub(super) const fn query<T: IntoParams>(mut self) -> About {
        self.query = Some(in_query::<T>);
        self
    }
}

fn in_query<T: IntoParams>() -> Vec<Parameter> {
    T::into_params(|| Some(ParameterIn::Query))
}
