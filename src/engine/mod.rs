//! L1: the pure decision machine.
