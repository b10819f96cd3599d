//! `iso8583-core`.

use iso8583_core::field::FieldValue;
use iso8583_core::{Field, ISO8583Message, MessageType};

use crate::Peer;

#[derive(Clone, Copy)]
pub(crate) struct Core;

impl Peer for Core {
    type Message = ISO8583Message;

    fn decode(&self, frame: &[u8]) -> ISO8583Message {
        ISO8583Message::from_bytes(frame).unwrap()
    }

    fn six_numbers(&self, message: &ISO8583Message) -> u64 {
        [3, 4, 11, 18, 22, 32].into_iter().fold(0, |sum, number| {
            let field = Field::from_number(number).unwrap();
            let digits = message.get_field(field).unwrap().as_string().unwrap();
            digits.parse::<u64>().unwrap().wrapping_add(sum)
        })
    }

    fn respond(&self, request: &ISO8583Message) -> Vec<u8> {
        let mut response = ISO8583Message::new(MessageType::AUTHORIZATION_RESPONSE);
        for number in [2, 3, 4, 7, 11, 12, 13, 32, 37, 41, 42, 49] {
            let field = Field::from_number(number).unwrap();
            let value = request.get_field(field).unwrap().clone();
            response.set_field(field, value).unwrap();
        }
        for (number, text) in [(38, "A1B2C3"), (39, "00")] {
            let field = Field::from_number(number).unwrap();
            let value = FieldValue::from_string(text);
            response.set_field(field, value).unwrap();
        }
        response.to_bytes()
    }
}
