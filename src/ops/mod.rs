//! L4: looks at the switch; never decides.
