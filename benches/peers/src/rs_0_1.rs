//! `iso8583_rs`.

use iso8583_rs::iso8583::iso_spec::{self, IsoMsg, MessageSegment, Spec};

use crate::Peer;

#[derive(Clone, Copy)]
pub(crate) struct Rs {
    spec: &'static Spec,
    segment: &'static MessageSegment,
}

impl Rs {
    /// The specification file is named by the environment: `SPEC_FILE`.
    pub(crate) fn new() -> Self {
        let spec = iso_spec::spec("");
        let Ok(segment) = spec.get_message_from_header("0100") else {
            panic!("no such message");
        };
        Self { spec, segment }
    }
}

impl Peer for Rs {
    type Message = IsoMsg;

    fn decode(&self, frame: &[u8]) -> IsoMsg {
        match self.spec.parse(&mut frame.to_vec()) {
            Ok(message) => message,
            Err(error) => panic!("{}", error.msg),
        }
    }

    fn six_numbers(&self, message: &IsoMsg) -> u64 {
        [3, 4, 11, 18, 22, 32].into_iter().fold(0, |sum, number| {
            let Ok(digits) = message.bmp_child_value(number) else {
                panic!("no such element");
            };
            digits.parse::<u64>().unwrap().wrapping_add(sum)
        })
    }

    fn respond(&self, request: &IsoMsg) -> Vec<u8> {
        let mut response = iso_spec::new_msg(self.spec, self.segment);
        let written = response
            .set("message_type", "0110")
            .and_then(|()| {
                response.echo_from(request, &[2, 3, 4, 7, 11, 12, 13, 32, 37, 41, 42, 49])
            })
            .and_then(|()| response.set_on(38, "A1B2C3"))
            .and_then(|()| response.set_on(39, "00"))
            .and_then(|()| response.assemble());
        match written {
            Ok(bytes) => bytes,
            Err(error) => panic!("{}", error.msg),
        }
    }
}
