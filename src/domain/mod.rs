//! L0: the nouns of card money.
