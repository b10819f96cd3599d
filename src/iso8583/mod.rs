//! L0: bytes to message and back, from spec files.
