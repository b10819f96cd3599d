//! Records of what somebody ordered: their bytes are kept and must decode for ever.

use std::fs;
use std::path::PathBuf;

use cardswitch::domain::actor::Actor;
use cardswitch::engine::entry::EntryId;
use cardswitch::engine::event::Event;
use cardswitch::engine::operation::Operation;
use cardswitch::engine::record;

use crate::golden_records::{AT, read, written};

fn released() -> (Actor, Event) {
    let actor = Actor::of(0x3f2a_9c01, "mika@desk.example").unwrap();
    let event = Event::Operated(Box::new(Operation::HoldReleased(EntryId(4_711))));
    (actor, event)
}

#[test]
fn what_somebody_ordered_keeps_the_name_and_decodes_for_ever() {
    let (actor, event) = released();
    let path = PathBuf::from("fixtures/journal/record-v3/hold-released.hex");
    let mut bytes = Vec::new();
    record::encode_by(Some(&actor), AT, &event, &mut bytes).unwrap();
    if std::env::var_os("UPDATE_FIXTURES").is_some() && !path.exists() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, written(&bytes)).unwrap();
    }
    let kept = read(&fs::read_to_string(&path).unwrap());
    assert_eq!(kept, bytes, "it is written otherwise now");
    let (by, at, told) = record::decode_by(&kept).unwrap();
    assert_eq!((by, at, &told), (Some(actor), AT, &event));
    assert_eq!(record::decode(&kept).unwrap(), (AT, event));
    for length in 0..kept.len() {
        assert!(record::decode_by(&kept[..length]).is_err(), "{length}");
    }
    assert!(record::decode_by(&[&kept[..], &[0]].concat()).is_err());
}

#[test]
fn what_nobody_ordered_is_written_as_before() {
    let (_, event) = released();
    let (mut plain, mut nobody) = (Vec::new(), Vec::new());
    record::encode(AT, &event, &mut plain).unwrap();
    record::encode_by(None, AT, &event, &mut nobody).unwrap();
    assert_eq!(plain, nobody);
    assert_eq!(record::decode_by(&plain).unwrap().0, None);
}
