//! Between messages and the words of the trade: the only place where a data element number stands
//! next to a business noun.
//!
//! What differs between users of one message layout is data (`spec/dialect/*.toml`, read by
//! [`table`]); what every ISO 8583:1987 message shares is [`request`] and [`response`].

pub mod table;

pub mod request;

pub mod response;

/// The dialects built into the binary: name and table.
const BUILT_IN: [(&str, &str); 1] = [("iso87", include_str!("../../../spec/dialect/iso87.toml"))];

/// The built-in dialect with this name.
///
/// # Errors
/// A sentence when there is none, or all mistakes of its table.
pub fn built_in(name: &str) -> Result<table::Dialect, String> {
    let (_, text) = BUILT_IN
        .iter()
        .find(|row| row.0 == name)
        .ok_or_else(|| format!("no dialect is named {name:?}"))?;
    table::parse(text).map_err(|mistakes| format!("dialect {name}: {}", mistakes.join("; ")))
}
