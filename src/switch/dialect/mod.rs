//! Between messages and the words of the trade: the only place where a data element number stands
//! next to a business noun.
//!
//! What differs between users of one message layout is data (`spec/dialect/*.toml`, read by
//! [`table`]); what every ISO 8583:1987 message shares is [`request`] and [`response`].

pub mod table;

mod table_rows;
#[cfg(test)]
mod table_tests;

pub mod code_list;

pub mod request;

mod balances;
mod edition_2003;

mod key_exchange;

pub mod chips;
mod pins;
mod proofs;
mod route;
mod values;

mod said;

mod short_texts;

pub mod value_set;

pub mod response;
