//! What acquirers ask, in words of their own: neither the codec's nor the engine's.

/// What kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Authorization,
    Financial,
    StandIn,
    Advice,
    Reversal,
    ReversalAdvice,
}

impl Kind {
    /// Message type of the first sending.
    pub(crate) fn mti(self) -> u16 {
        match self {
            Kind::Authorization => 100,
            Kind::Financial => 200,
            Kind::StandIn => 120,
            Kind::Advice => 220,
            Kind::Reversal => 400,
            Kind::ReversalAdvice => 420,
        }
    }

    /// Both kinds of reversals are one conversation.
    pub(crate) fn conversation(self) -> Kind {
        match self {
            Kind::ReversalAdvice => Kind::Reversal,
            other => other,
        }
    }
}

/// What for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum What {
    Purchase,
    Refund,
    Load,
    Enquiry,
}

/// How an acquirer names one of its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) acquirer: u32,
    pub(crate) transmitted: u32,
    pub(crate) stan: u32,
}

/// What PIN comes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GivenPin {
    Right,
    Wrong,
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) kind: Kind,
    pub(crate) what: What,
    pub(crate) name: Name,
    pub(crate) terminal: u32,
    pub(crate) card: usize,
    pub(crate) minor: i64,
    pub(crate) currency: Money,
    pub(crate) original: Option<Name>,
    /// What shall remain.
    pub(crate) remaining: Option<i64>,
    pub(crate) pin: Option<GivenPin>,
    /// Whether the terminal takes an approval of a part.
    pub(crate) takes_part: bool,
}

/// Of which purses there are some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Money {
    Yen,
    Dollar,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) code: [u8; 2],
    /// The amount it names.
    pub(crate) minor: i64,
    pub(crate) has_approval: bool,
    /// Yen and dollars available, where it tells.
    pub(crate) available: Option<(i64, i64)>,
}

impl Told {
    pub(crate) fn is_approval(&self) -> bool {
        matches!(&self.code, b"00" | b"10")
    }
}
