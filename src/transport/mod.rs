//! L2: frames on a byte stream.
