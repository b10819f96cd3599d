//! Runs calls into sled so that a panic inside it becomes an error instead of a back-trace.
//!
//! sled panics on damage it did not expect. A panic on the calling thread is caught here and its
//! message is returned. A panic on one of sled's own writing threads cannot be caught, and the
//! call that waits for that thread would wait for ever: the process aborts at once instead.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

thread_local! {
    /// True while this thread is inside [`contain`].
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// The name every thread of sled's pool starts with.
const SLED_THREAD: &str = "sled-io-";

/// Runs `work`; the message of a panic in it is returned and not printed.
pub(super) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |information| {
            on_panic(information, &previous)
        }));
    });
    let outer = CONTAINED.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    CONTAINED.set(outer);
    outcome.map_err(|payload| panic_message(payload.as_ref()))
}

/// What a panic said, for the handle of a thread or a caught call.
pub(super) fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    format!(
        "the store panicked: {}",
        text.unwrap_or("no message").lines().next().unwrap_or("")
    )
}

fn on_panic(information: &PanicHookInfo<'_>, previous: &dyn Fn(&PanicHookInfo<'_>)) {
    if CONTAINED.get() {
        return;
    }
    previous(information);
    if std::thread::current()
        .name()
        .is_some_and(|name| name.starts_with(SLED_THREAD))
    {
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_inside_becomes_its_first_line() {
        let outcome = contain(|| panic!("bad page {}\nat length", 7));
        assert_eq!(
            outcome,
            Err::<(), _>("the store panicked: bad page 7".to_owned())
        );
        assert_eq!(contain(|| 5), Ok(5));
    }
}
