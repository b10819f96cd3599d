//! What holds for every message: round trips, no panic on any bytes, a clear error for each mistake.

use cardswitch::iso8583::MessageSpec;

#[test]
fn both_builtin_specifications_are_without_mistake() {
    for text in [
        include_str!("../../spec/iso8583/iso87-ascii.toml"),
        include_str!("../../spec/iso8583/iso87-binary.toml"),
    ] {
        let spec = MessageSpec::parse(text).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(spec.elements().len(), 127);
        assert_eq!(
            MessageSpec::builtin(spec.name()).unwrap().name(),
            spec.name()
        );
    }
}
