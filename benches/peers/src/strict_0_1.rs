//! `iso8583-codec`.

use iso8583_codec::{FieldSpec, FieldValue, Length, Message, Mti, Spec};

use crate::Peer;

/// Its own table for 1987, with bytes in DE 55.
pub(crate) fn spec() -> Spec {
    let fields = Spec::iso8583_1987()
        .fields()
        .iter()
        .map(|field| match field.number {
            55 => FieldSpec::binary(55, "chip", Length::lllvar(999)),
            _ => field.clone(),
        })
        .collect();
    Spec::new("benches", fields).unwrap()
}

#[derive(Clone, Copy)]
pub(crate) struct Strict<'a>(pub(crate) &'a Spec);

impl Peer for Strict<'_> {
    type Message = Message;

    fn decode(&self, frame: &[u8]) -> Message {
        Message::parse(self.0, frame).unwrap()
    }

    fn six_numbers(&self, message: &Message) -> u64 {
        [3, 4, 11, 18, 22, 32].into_iter().fold(0, |sum, number| {
            let digits = message.field(number).unwrap().as_digits().unwrap();
            digits.parse::<u64>().unwrap().wrapping_add(sum)
        })
    }

    fn respond(&self, request: &Message) -> Vec<u8> {
        let mut response = Message::new(Mti::parse(b"0110").unwrap());
        for number in [2, 3, 4, 7, 11, 12, 13, 32, 37, 41, 42, 49] {
            let value = request.field(number).unwrap().clone();
            response.set_field(number, value).unwrap();
        }
        let approval = FieldValue::text("A1B2C3").unwrap();
        response.set_field(38, approval).unwrap();
        response
            .set_field(39, FieldValue::text("00").unwrap())
            .unwrap();
        response.encode(self.0).unwrap()
    }
}
