//! L2: one durable ordered log of records.
