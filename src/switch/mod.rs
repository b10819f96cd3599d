//! L3: the shell that joins sockets, engine and journal.
