//! Puts threads on the processors that the configuration sets apart for them (`[cpus]`).
//!
//! A thread hands its processors to those that it starts. So the journal's thread is where the
//! single writer is, and whatever starts later stays with the others.

use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

use super::config::CpusConfig;

/// Threads of this process.
const OWN_THREADS: &str = "/proc/self/task";

/// Threads cannot be put where the configuration wants them.
#[derive(Debug, thiserror::Error)]
pub enum CpusError {
    /// A processor that there is not, or that this process may not use.
    #[error("cpus.{key}: expected processors that this process may use ({usable}), got {got}")]
    NotUsable {
        /// Which list.
        key: &'static str,
        /// Those that may be used.
        usable: String,
        /// The first that may not.
        got: usize,
    },
    /// The system refuses.
    #[error("put threads on processors: {0}")]
    System(#[from] io::Error),
}

/// Where each kind of thread runs; the standard: where the system puts it.
#[derive(Default)]
pub struct Places(Option<Sets>);

struct Sets {
    writer: CpuSet,
    io: Vec<CpuSet>,
    others: CpuSet,
}

impl Places {
    /// The places that are configured. Threads without a list of their own may use what the
    /// process may.
    ///
    /// # Errors
    /// [`CpusError`] names a processor that this process may not use.
    pub fn of(config: &CpusConfig) -> Result<Places, CpusError> {
        if *config == CpusConfig::default() {
            return Ok(Places::default());
        }
        let usable = sched_getaffinity(None).map_err(io::Error::from)?;
        let lists = [
            ("writer", &config.writer),
            ("io", &config.io),
            ("others", &config.others),
        ];
        for (key, cpus) in lists {
            if let Some(got) = cpus.iter().copied().find(|cpu| !has(&usable, *cpu)) {
                return Err(CpusError::NotUsable {
                    key,
                    usable: listed(&usable),
                    got,
                });
            }
        }
        let set_of = |cpus: &[usize]| match cpus {
            [] => usable,
            cpus => set(cpus),
        };
        Ok(Places(Some(Sets {
            writer: set_of(&config.writer),
            io: match config.io.as_slice() {
                [] => vec![usable],
                cpus => cpus.iter().map(|cpu| set(&[*cpu])).collect(),
            },
            others: set_of(&config.others),
        })))
    }

    /// Puts every thread that there is where the others are.
    ///
    /// # Errors
    /// What the system says.
    pub fn move_all(&self) -> io::Result<()> {
        let Some(sets) = &self.0 else { return Ok(()) };
        for thread in fs::read_dir(OWN_THREADS)? {
            let number = thread?.file_name();
            let number = number.to_str().and_then(|text| text.parse().ok());
            let Some(thread) = number.and_then(Pid::from_raw) else {
                continue;
            };
            match sched_setaffinity(Some(thread), &sets.others) {
                // It has ended meanwhile.
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Starts the thread of the single writer; the caller is one of the others.
    ///
    /// # Errors
    /// What `start` or the system says.
    pub fn start_writer<T>(&self, start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match &self.0 {
            Some(sets) => sets.started_on(&sets.writer, start),
            None => start(),
        }
    }

    /// Starts a thread that serves connections, of which so many were started before; the caller is
    /// one of the others.
    ///
    /// # Errors
    /// What `start` or the system says.
    pub fn start_io<T>(
        &self,
        before: usize,
        start: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let place = self.0.as_ref().and_then(|sets| {
            let place = sets.io.iter().cycle().nth(before)?;
            Some((sets, place))
        });
        match place {
            Some((sets, place)) => sets.started_on(place, start),
            None => start(),
        }
    }
}

impl Sets {
    /// A thread begins where the one is that starts it.
    fn started_on<T>(
        &self,
        place: &CpuSet,
        start: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        sched_setaffinity(None, place)?;
        let started = start();
        sched_setaffinity(None, &self.others)?;
        started
    }
}

fn set(cpus: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|cpu| set.set(*cpu));
    set
}

fn has(set: &CpuSet, cpu: usize) -> bool {
    cpu < CpuSet::MAX_CPU && set.is_set(cpu)
}

/// `0-3,8`.
fn listed(set: &CpuSet) -> String {
    let mut text = String::new();
    let mut cpu = 0;
    while cpu < CpuSet::MAX_CPU {
        if !has(set, cpu) {
            cpu += 1;
            continue;
        }
        let first = cpu;
        while has(set, cpu) {
            cpu += 1;
        }
        let last = cpu - 1;
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_listed_as_the_system_lists_them() {
        assert_eq!(listed(&set(&[3])), "3");
        assert_eq!(listed(&set(&[9, 0, 1, 2, 7])), "0-2,7,9");
        assert_eq!(listed(&set(&[1_022, 1_023])), "1022-1023");
        assert_eq!(listed(&CpuSet::new()), "");
    }
}
